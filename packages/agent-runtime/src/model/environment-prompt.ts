import type { Environment } from '@codelab/protocol';

/** Returns what the model is told of the place where a session's client works. Always the same for a session, so that a provider's prompt cache holds. */
export function toEnvironmentPrompt({ folder, system, date, git, instructions }: Environment): string {
  const lines = [
    ['Folder', folder],
    ['Operating system', system],
    ['Date', date],
    ...(git === undefined
      ? []
      : [['Git', `branch ${git.branch}, ${git.isDirty ? 'with uncommitted changes' : 'without uncommitted changes'}`]]),
  ].map(([name, value]) => `${name}: ${value?.replace(/\s+/g, ' ')}`);
  const facts = `<environment at="the beginning of the session">\n${lines.join('\n')}\n</environment>`;
  return instructions === undefined || instructions.trim() === ''
    ? facts
    : `${facts}\n\n<instructions from="AGENTS.md">\n${instructions.trim()}\n</instructions>`;
}
