import { CHARACTERS_PER_TOKEN } from '@codelab/protocol';

/** Estimates the tokens of an answer that is only counted, not read: in any script. */
export function tokensOf(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}
