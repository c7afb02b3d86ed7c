/** Whether a text is one of `patterns`, where `*` stands for what `wildcard` (a regular expression) says. */
export function createFilter(patterns: string[], wildcard: string, flags: string): (text: string) => boolean {
  const expressions = patterns.map((pattern) => {
    const escaped = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${escaped.join(wildcard)}$`, flags);
  });
  return (text) => expressions.some((expression) => expression.test(text));
}
