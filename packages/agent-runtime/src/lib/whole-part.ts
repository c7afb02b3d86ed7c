/** Returns the text between two positions; a surrogate pair at an edge is included as a whole. */
export function wholePart(text: string, from: number, to = text.length): string {
  return text.slice(isWithinCharacter(text, from) ? from - 1 : from, isWithinCharacter(text, to) ? to + 1 : to);
}

function isWithinCharacter(text: string, at: number): boolean {
  return /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(Math.max(at - 1, 0), at + 1));
}
