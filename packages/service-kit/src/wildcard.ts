/** Returns a function that is true for a text that matches one of `patterns`; `*` stands for `wildcard`, a regular expression. */
export function createFilter(patterns: string[], wildcard: string, flags: string): (text: string) => boolean {
  const expressions = patterns.map((pattern) => {
    const escaped = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${escaped.join(wildcard)}$`, flags);
  });
  return (text) => expressions.some((expression) => expression.test(text));
}
