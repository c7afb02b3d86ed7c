import type { AnswerReader, CountedUsage } from '../providers/provider.ts';
import { type ProviderNames, toCutError, toStreamFault } from '../providers/provider-error.ts';
import { faultIn, parse } from './chunk-reader.ts';
import { estimateUsage } from './estimate.ts';
import { createEventSplitter, eventsOf } from './event-splitter.ts';

const QUOTE = 34;

/** What passing a stream on without translating it must know of its wire. */
export interface PassRules {
  /** Whether these events must be looked at one by one; if not, they pass as they are. `text` is the bytes, one a character. */
  needsLook(text: string): boolean;
  /** What the text of a delta stands behind. */
  textKey: string;
  /** Looks at one event: it only opens the answer, is a part of it, says something else, or is not for the client. */
  look(payload: object): 'opening' | 'answer' | 'other' | 'hidden';
  /** Whether an event was the wire's own end. */
  isComplete(): boolean;
  /** Whether nothing but the wire's own end is missing. */
  isFinished(): boolean;
  /** That end, as the provider should have sent it. */
  lastEvent: string;
  /** The counts so far. */
  usage(): CountedUsage | undefined;
  /** About how many tokens that much of the stream was. */
  outputTokens(events: number, bytes: number): number;
}

/**
 * Passes a stream on to a client that speaks the provider's wire: bytes as they came, but only whole events, one beginning, one end, and
 * nothing after it. With `isOpen`, the client has had its beginning from an attempt before.
 */
export function createPassReader(
  rules: PassRules,
  names: ProviderNames,
  isOpen: boolean,
): AnswerReader<Buffer | string> {
  const splitter = createEventSplitter();
  let hasOpened = isOpen;
  let hasBegun = false;
  let isComplete = false;
  let events = 0;
  let bytes = 0;
  let failure: unknown;
  let template: Template | undefined;

  const finish = (): string => {
    if (!rules.isFinished()) throw toCutError(names);
    isComplete = true;
    return rules.lastEvent;
  };

  const lookAt = (raw: string, data: string | undefined): string => {
    if (data === undefined || data === '') return raw;
    if (data === '[DONE]') return finish();
    const payload = parse(data, names, hasBegun);
    const fault = faultIn(payload);
    if (fault !== undefined) throw toStreamFault(fault, names, hasBegun);
    const kind = rules.look(payload);
    const isKept = kind !== 'hidden' && !(kind === 'opening' && hasOpened);
    if (kind === 'answer') hasBegun = true;
    if (kind === 'opening' || kind === 'answer') hasOpened = true;
    isComplete = rules.isComplete();
    return isKept ? raw : '';
  };

  const lookAtAll = (text: string): string => {
    let out = '';
    try {
      for (const { raw, data } of eventsOf(text)) {
        if (isComplete) break;
        out += lookAt(raw, data);
      }
    } catch (error) {
      if (out === '') throw error;
      failure = error;
    }
    return out;
  };

  return {
    get hasBegun() {
      return hasBegun;
    },
    get isComplete() {
      return isComplete;
    },
    get failure() {
      return failure;
    },
    push(packet) {
      if (template !== undefined && splitter.isEmpty() && fits(packet, template)) {
        bytes += packet.length;
        events++;
        return packet;
      }
      const whole = splitter.push(packet);
      if (whole === undefined) return undefined;
      const text = whole.toString('latin1');
      bytes += whole.length;
      const before = events;
      for (let at = text.indexOf('\n\n'); at !== -1; at = text.indexOf('\n\n', at + 2)) events++;
      if (hasBegun && !rules.needsLook(text)) {
        if (events === before + 1) template = templateOf(whole, rules.textKey);
        return whole;
      }
      const kept = lookAtAll(whole.toString('utf8'));
      return kept === '' ? undefined : kept;
    },
    end() {
      const rest = splitter.rest();
      let kept = '';
      // Half an event is nothing; `[DONE]` without its empty line is an end.
      if (isWholeEvent(rest)) kept = lookAtAll(rest.toString('utf8'));
      return isComplete || failure !== undefined ? kept : kept + finish();
    },
    usage(inputTokens) {
      const usage = rules.usage();
      if (usage !== undefined && isComplete) return usage;
      return estimateUsage(usage, { inputTokens, outputTokens: rules.outputTokens(events, bytes) });
    },
  };
}

/** What the events of one stream have in common, all but their texts. */
interface Template {
  before: Buffer;
  after: Buffer;
}

/** Most events differ from the one before in nothing but their text: that is the cheapest thing to know about one. */
function templateOf(event: Buffer, textKey: string): Template | undefined {
  const key = event.indexOf(textKey);
  if (key === -1) return undefined;
  const from = key + textKey.length;
  const to = event.indexOf(QUOTE, from);
  // Copies: the event may be a view of a large packet.
  return { before: Buffer.from(event.subarray(0, from)), after: Buffer.from(event.subarray(to)) };
}

/**
 * Whether an event is like the template, with a text that no quote stands in, so that it can have nothing but text. A loop over the bytes
 * makes no strings and calls nothing.
 */
function fits(event: Buffer, { before, after }: Template): boolean {
  const textEnd = event.length - after.length;
  const textStart = before.length;
  if (textEnd < textStart) return false;
  for (let at = 0; at < textStart; at++) if (event[at] !== before[at]) return false;
  for (let at = textStart; at < textEnd; at++) if (event[at] === QUOTE) return false;
  for (let at = textEnd, of = 0; at < event.length; at++, of++) if (event[at] !== after[of]) return false;
  return true;
}

function isWholeEvent(rest: Buffer): boolean {
  const text = rest.toString('utf8').trim();
  if (text === '') return false;
  const data = [...eventsOf(text)][0]?.data;
  if (data === undefined || data === '[DONE]') return data !== undefined;
  try {
    JSON.parse(data);
    return true;
  } catch {
    return false;
  }
}

/** Whether `key` (with its quotes and colon) stands in `text` with a value that is not null. Inside of strings its quotes are escaped. */
export function hasValue(text: string, key: string): boolean {
  for (let at = text.indexOf(key); at !== -1; at = text.indexOf(key, at + key.length)) {
    let next = at + key.length;
    while (text.charCodeAt(next) === 32) next++;
    if (text.charCodeAt(next) !== 110) return true;
  }
  return false;
}
