const QUOTE = 34;
const BACKSLASH = 92;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [91, 93, 123, 125];

/** How deep the JSON that a service is sent may be nested. */
export const MAX_JSON_DEPTH = 512;

/**
 * True where lists and objects stand within each other more than `limit` deep. Reads the text without parsing it, with no recursion: what
 * is too deep must be refused before anything walks over it. Says nothing of whether the text is valid JSON.
 */
export function jsonDepthExceeds(text: string | Uint8Array, limit: number): boolean {
  if (text.length <= limit) return false;
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (isInString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) isInString = false;
    } else if (byte === QUOTE) isInString = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      depth++;
      if (depth > limit) return true;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) depth--;
  }
  return false;
}
