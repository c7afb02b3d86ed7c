/** Returns the length of `text` in UTF-8, in bytes, without encoding it. A lone surrogate counts as the three bytes of U+FFFD. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (isHighSurrogate(unit) && isLowSurrogate(text.charCodeAt(i + 1))) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** Returns the text between two positions, with the whole of a character that they would part. */
export function wholePart(text: string, from: number, to = text.length): string {
  return text.slice(isWithinCharacter(text, from) ? from - 1 : from, isWithinCharacter(text, to) ? to + 1 : to);
}

/** Returns `end`, or one less where it would part two halves of a character. */
export function wholeEnd(text: string, end: number): number {
  return isWithinCharacter(text, end) ? end - 1 : end;
}

function isWithinCharacter(text: string, at: number): boolean {
  return isHighSurrogate(text.charCodeAt(at - 1)) && isLowSurrogate(text.charCodeAt(at));
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/**
 * Keeps the halves of a surrogate pair together over the chunks of a stream.
 * `push` returns what may be shown now; `flush` what is left at the end.
 */
export function createSurrogateJoiner(): { push(text: string): string; flush(): string } {
  let held = '';
  return {
    push(text) {
      const joined = held + text;
      const last = joined.charCodeAt(joined.length - 1);
      const splits = isHighSurrogate(last);
      held = splits ? joined.slice(-1) : '';
      return splits ? joined.slice(0, -1) : joined;
    },
    flush() {
      const rest = held;
      held = '';
      return rest;
    },
  };
}
