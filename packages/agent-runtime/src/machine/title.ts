import { wholeEnd } from '@codelab/protocol';

/** UTF-16 code units. */
const MAX_LENGTH = 60;

/** Returns a title for a session that begins with this message: its beginning, cut at a word. */
export function titleOf(message: string): string {
  const text = message.replace(/\s+/g, ' ').trim().toWellFormed();
  if (text.length <= MAX_LENGTH) return text;
  const end = text.lastIndexOf(' ', MAX_LENGTH - 1);
  // A word alone, or a language without spaces.
  const cut = end < MAX_LENGTH / 2 ? wholeEnd(text, MAX_LENGTH - 1) : end;
  return `${text.slice(0, cut).replace(/[\s.,;:–—-]+$/, '')}…`;
}
