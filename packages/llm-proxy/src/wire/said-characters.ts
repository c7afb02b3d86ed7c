import { BACKSLASH, LETTER_U } from './ascii.ts';

/** Members with text of the model, on either wire, up to the opening quote. JSON may go on in the next `data:` line. */
const TEXT_MEMBER =
  /"(?:content|reasoning_content|reasoning|refusal|arguments|text|thinking|partial_json)"\s*(?:data:\s*)*:\s*(?:data:\s*)*"/g;

/**
 * Counts the characters of the model's texts in JSON, or in events of JSON, without parsing it (hot path: README.md). The usage of a cut
 * answer is estimated from them. `json` may be UTF-8 read as Latin-1.
 */
export function saidCharacters(json: string): number {
  let characters = 0;
  TEXT_MEMBER.lastIndex = 0;
  while (TEXT_MEMBER.exec(json) !== null) {
    const from = TEXT_MEMBER.lastIndex;
    const to = endOfString(json, from);
    characters += charactersBetween(json, from, to);
    TEXT_MEMBER.lastIndex = to;
  }
  return characters;
}

/** Returns the offset of the closing quote of the string whose text begins at `from`. */
function endOfString(json: string, from: number): number {
  for (let end = json.indexOf('"', from); end !== -1; end = json.indexOf('"', end + 1)) {
    let slashes = 0;
    while (json.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return json.length;
}

function charactersBetween(json: string, from: number, to: number): number {
  let characters = 0;
  for (let at = from; at < to; at++) {
    const code = json.charCodeAt(at);
    if (code === BACKSLASH) {
      at++;
      // The four digits after \u are counted on their own.
      characters += json.charCodeAt(at) === LETTER_U ? -3 : 1;
    } else if (code < 0x80 || code > 0xbf) characters++;
  }
  return characters;
}
