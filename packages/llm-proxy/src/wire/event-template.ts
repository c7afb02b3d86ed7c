import { BACKSLASH, LETTER_U, QUOTE } from './ascii.ts';

/** The bytes that the deltas of one stream share: all but their texts. */
export interface EventTemplate {
  before: Buffer;
  after: Buffer;
}

/**
 * Returns an event's template; undefined if it has no text. Hot path (README.md): most events differ from the one before only in their
 * text, and comparing bytes is the cheapest way to know it.
 */
export function toEventTemplate(event: Buffer, textKey: string): EventTemplate | undefined {
  const key = event.indexOf(textKey);
  if (key === -1) return undefined;
  const from = key + textKey.length;
  const to = event.indexOf(QUOTE, from);
  // Copies: the event may be a view of a large packet.
  return { before: Buffer.from(event.subarray(0, from)), after: Buffer.from(event.subarray(to)) };
}

/** Returns the number of characters of an event's text; -1 if it differs from the template in more than the text. */
export function matchTemplate(event: Buffer, { before, after }: EventTemplate): number {
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
      // The four digits after \u are counted on their own.
      characters += event[at] === LETTER_U ? -3 : 1;
    } else if ((byte & 0xc0) !== 0x80) characters++;
  }
  // If a backslash escapes the closing quote, the text goes on.
  return at === textEnd ? characters : -1;
}
