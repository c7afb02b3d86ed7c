// Text of others (a model's, a tool's, a provider's) for a terminal: it can move no cursor, set no title, write no clipboard, hide nothing.

/* biome-ignore-all lint/suspicious/noControlCharactersInRegex: they are what is taken out */
/** https://www.ecma-international.org/publications-and-standards/standards/ecma-48 */
const SEQUENCES = [
  // Strings: titles, links, the clipboard.
  /(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)/g,
  // Colours, the cursor.
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]/g,
  /\u001b[ -/]*[0-~]/g,
];
/** All but tab and new line. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** They show text in another order than it has. */
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * The text without control sequences, and with marks in place of what changes the direction of writing.
 * @param {string} text
 */
export function toTerminal(text) {
  return SEQUENCES.reduce((rest, sequence) => rest.replace(sequence, ''), text)
    .replace(CONTROLS, '')
    .replace(DIRECTIONS, (mark) => `<U+${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}>`);
}
