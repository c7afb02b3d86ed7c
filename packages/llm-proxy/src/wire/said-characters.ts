const BACKSLASH = 92;
const LETTER_U = 117;

/** The members that have what a model says, on either wire, up to the quote that opens it. JSON may go on in the next line of `data`. */
const OPENING =
  /"(?:content|reasoning_content|reasoning|refusal|arguments|text|thinking|partial_json)"\s*(?:data:\s*)*:\s*(?:data:\s*)*"/g;

/**
 * Counts the characters that a model says in `json`, which is JSON or events of JSON, without parsing it: a cut answer is estimated from
 * them. `json` may be UTF-8 read as Latin-1.
 */
export function saidCharacters(json: string): number {
  let characters = 0;
  OPENING.lastIndex = 0;
  while (OPENING.exec(json) !== null) {
    const from = OPENING.lastIndex;
    const to = endOfString(json, from);
    characters += charactersBetween(json, from, to);
    OPENING.lastIndex = to;
  }
  return characters;
}

/** The closing quote of the string whose text begins at `from`. */
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
      // The four digits behind it are counted on their own.
      characters += json.charCodeAt(at) === LETTER_U ? -3 : 1;
    } else if (code < 0x80 || code > 0xbf) characters++;
  }
  return characters;
}
