/** Blanks out the comments of JSON as editors write it, and commas after a last entry; each character keeps its place. */
export function withoutComments(text: string): string {
  const json = text.replace(/"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) =>
    part.startsWith('"') ? part : part.replace(/[^\n]/g, ' '),
  );
  return json
    .replace(/"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])/g, (part) => (part === ',' ? ' ' : part))
    .replace(/^\uFEFF/, '');
}
