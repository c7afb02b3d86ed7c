import fc from 'fast-check';

/** One event of a stream, before it is text. */
export interface SseEvent {
  /** The name that Anthropic's events have. */
  name?: string;
  data: object | '[DONE]';
}

/** How a server writes what it says: as free as JSON and SSE leave it. */
export interface Style {
  /** Between the tokens of JSON: around colons, behind commas, within brackets. A line break makes another `data` line. */
  beforeColon: string;
  afterColon: string;
  afterComma: string;
  inBrackets: string;
  /** What is escaped, though it need not be. */
  escapes: 'nothing' | 'what is not ASCII' | 'underscores';
  /** Which order the members of objects have; 0: as they were put there. */
  order: number;
  lineEnd: '\n' | '\r\n' | '\r';
  /** Between `data:` and the JSON. */
  afterData: string;
  hasByteOrderMark: boolean;
  /** What stands before the event of this number, by turns: comments, other fields, empty lines. */
  between: string[];
}

const gaps = fc.constantFrom('', '', '', ' ', '  ', '\t', '\n', ' \n ');

export const styles: fc.Arbitrary<Style> = fc.oneof(
  // As most servers write.
  fc.constantFrom('', ' ').map((gap) => ({ ...plain, afterColon: gap, afterComma: gap })),
  fc.record({
    beforeColon: gaps,
    afterColon: gaps,
    afterComma: gaps,
    inBrackets: gaps,
    escapes: fc.constantFrom('nothing', 'what is not ASCII', 'underscores'),
    order: fc.nat(1000),
    lineEnd: fc.constantFrom('\n', '\r\n', '\r'),
    afterData: fc.constantFrom(' ', '', '  '),
    hasByteOrderMark: fc.boolean(),
    between: fc.array(
      fc.constantFrom('', ': keep-alive\n\n', ':\n', 'id: 7\n', 'retry: 10\n\n', '\n', ': data: {}\n\n'),
      {
        maxLength: 4,
      },
    ),
  }),
);

const plain: Style = {
  beforeColon: '',
  afterColon: '',
  afterComma: '',
  inBrackets: '',
  escapes: 'nothing',
  order: 0,
  lineEnd: '\n',
  afterData: ' ',
  hasByteOrderMark: false,
  between: [],
};

/** The JSON text of `value`, as `style` writes it. */
function writeJson(value: unknown, style: Style): string {
  const write = (inner: unknown): string => {
    if (typeof inner === 'string') return quoted(inner, style);
    if (typeof inner !== 'object' || inner === null) return JSON.stringify(inner);
    const isList = Array.isArray(inner);
    const members = isList
      ? inner.map(write)
      : ordered(
          Object.entries(inner).filter(([, member]) => member !== undefined),
          style.order,
        ).map(([key, member]) => `${quoted(key, style)}${style.beforeColon}:${style.afterColon}${write(member)}`);
    const text = members.join(`,${style.afterComma}`);
    const gap = members.length === 0 ? '' : style.inBrackets;
    return isList ? `[${gap}${text}${gap}]` : `{${gap}${text}${gap}}`;
  };
  return write(value);
}

function quoted(text: string, { escapes }: Style): string {
  const json = JSON.stringify(text);
  if (escapes === 'underscores') return json.replaceAll('_', '\\u005f');
  if (escapes === 'nothing') return json;
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function ordered<T>(members: T[], order: number): T[] {
  if (order === 0) return members;
  const left = [...members];
  const out: T[] = [];
  for (let state = order; left.length > 0; state = (state * 1103515245 + 12345) % 2147483648)
    out.push(...left.splice(state % left.length, 1));
  return out;
}

/** A stream as bytes, and where each of its events ends. */
export interface Written {
  bytes: Buffer;
  ends: number[];
}

export function writeEvents(events: SseEvent[], style: Style): Written {
  let text = style.hasByteOrderMark ? '\ufeff' : '';
  const ends: number[] = [];
  const inLines = (lines: string) => lines.replaceAll('\n', style.lineEnd);
  for (const [number, { name, data }] of events.entries()) {
    const between = style.between.length === 0 ? '' : (style.between[number % style.between.length] as string);
    const json = data === '[DONE]' ? data : writeJson(data, style);
    // Of two spaces one belongs to the data: JSON may begin with it, the word may not.
    const gap = data === '[DONE]' ? style.afterData.slice(1) : style.afterData;
    const lines = json.split('\n').map((line) => `data:${gap}${line}\n`);
    text += inLines(`${between}${name === undefined ? '' : `event: ${name}\n`}${lines.join('')}\n`);
    ends.push(Buffer.byteLength(text));
  }
  return { bytes: Buffer.from(text), ends };
}

/** A part of a whole, from 0 to less than 1, each as likely as any other. */
export const parts: fc.Arbitrary<number> = fc.nat(9_999).map((part) => part / 10_000);

/** Where a stream is cut into packets: behind each event, every so many bytes, or anywhere. */
export type Cuts = 'events' | { every: number } | { at: number[] };

export const cuts: fc.Arbitrary<Cuts> = fc.oneof(
  fc.constant<Cuts>('events'),
  fc.constant<Cuts>({ at: [] }),
  fc.integer({ min: 1, max: 40 }).map((every) => ({ every })),
  fc.integer({ min: 100, max: 2000 }).map((every) => ({ every })),
  fc.array(parts, { minLength: 1, maxLength: 12 }).map((at) => ({ at })),
);

export function inPackets({ bytes, ends }: Written, where: Cuts): Buffer[] {
  const offsets = new Set<number>();
  if (where === 'events') for (const end of ends) offsets.add(end);
  else if ('at' in where) for (const part of where.at) offsets.add(Math.floor(part * bytes.length));
  else for (let at = where.every; at < bytes.length; at += where.every) offsets.add(at);
  const sorted = [...offsets, bytes.length].sort((a, b) => a - b);
  return sorted.map((to, index) => bytes.subarray(sorted[index - 1] ?? 0, to)).filter(({ length }) => length > 0);
}

/** The packets of the first bytes of a stream. */
export function cutOff(written: Written, at: number, where: Cuts): Buffer[] {
  let left = at;
  const packets: Buffer[] = [];
  for (const packet of inPackets(written, where)) {
    if (left <= 0) break;
    packets.push(packet.subarray(0, left));
    left -= packet.length;
  }
  return packets;
}
