/** Average of English text. */
export const CHARACTERS_A_TOKEN = 4;

/** Estimates the tokens of a text that has so many characters. */
export function tokensOf(characters: number): number {
  return Math.ceil(characters / CHARACTERS_A_TOKEN);
}
