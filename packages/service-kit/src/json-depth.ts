const QUOTE = 34;
const BACKSLASH = 92;
const SHORT = 48;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [91, 93, 123, 125];

/** The deepest nesting of JSON that a service takes. */
export const MAX_JSON_DEPTH = 512;

/**
 * True where lists and objects stand within each other more than `limit` deep. Reads the text without parsing it, with no recursion: what
 * is too deep must be refused before anything walks over it. Says nothing of whether the text is valid JSON.
 */
export function jsonDepthExceeds(text: string | Uint8Array, limit: number): boolean {
  if (text.length <= limit) return false;
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = endOfString(bytes, at + 1);
      if (at === -1) return false;
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      depth++;
      if (depth > limit) return true;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) depth--;
  }
  return false;
}

/** The closing quote of the string whose text begins at `from`; -1 if there is none. A search pays for long strings only. */
function endOfString(bytes: Uint8Array, from: number): number {
  let at = from;
  for (const searched = Math.min(from + SHORT, bytes.length); at < searched; at++) {
    if (bytes[at] === QUOTE) return at;
    if (bytes[at] === BACKSLASH) at++;
  }
  for (let end = bytes.indexOf(QUOTE, at); end !== -1; end = bytes.indexOf(QUOTE, end + 1)) {
    let slashes = 0;
    while (end - slashes > at && bytes[end - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}
