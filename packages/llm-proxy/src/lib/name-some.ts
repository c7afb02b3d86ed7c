const NAMED = 3;

/** Names the first of what may be many, for a person: `a, b, c and 4 more`. */
export function nameSome(names: readonly string[]): string {
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return `${names.slice(0, NAMED).join(', ')}${more}`;
}
