/** Returns a text as it is searched: in small letters, without what PostgreSQL's `text` may not have. */
export function toSearchText(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '').toLowerCase();
}

/** Returns the pattern of a `like … escape '!'` for all that has `text` in it. */
export function toSearchPattern(text: string): string {
  return `%${toSearchText(text).replace(/[!%_]/g, '!$&')}%`;
}
