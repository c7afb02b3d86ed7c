const QUOTE = 34;
const BACKSLASH = 92;
const LETTER_U = 117;

/** What the events of one stream have in common, all but their texts. */
export interface EventTemplate {
  before: Buffer;
  after: Buffer;
}

/** Most events differ from the one before in nothing but their text: that is the cheapest thing to know about one. */
export function templateOf(event: Buffer, textKey: string): EventTemplate | undefined {
  const key = event.indexOf(textKey);
  if (key === -1) return undefined;
  const from = key + textKey.length;
  const to = event.indexOf(QUOTE, from);
  // Copies: the event may be a view of a large packet.
  return { before: Buffer.from(event.subarray(0, from)), after: Buffer.from(event.subarray(to)) };
}

/**
 * Counts the characters of the text in which an event differs from the template; -1 where it differs in more. A loop over the bytes makes
 * no strings and calls nothing.
 */
export function textLike(event: Buffer, { before, after }: EventTemplate): number {
  const textEnd = event.length - after.length;
  const textStart = before.length;
  if (textEnd < textStart) return -1;
  for (let at = 0; at < textStart; at++) if (event[at] !== before[at]) return -1;
  for (let at = textEnd, of = 0; at < event.length; at++, of++) if (event[at] !== after[of]) return -1;
  let characters = 0;
  let at = textStart;
  for (; at < textEnd; at++) {
    const byte = event[at] as number;
    if (byte === QUOTE) return -1;
    if (byte === BACKSLASH) {
      at++;
      // The four digits behind it are counted on their own.
      characters += event[at] === LETTER_U ? -3 : 1;
    } else if ((byte & 0xc0) !== 0x80) characters++;
  }
  // A backslash before the quote that should have closed the text: it goes on.
  return at === textEnd ? characters : -1;
}
