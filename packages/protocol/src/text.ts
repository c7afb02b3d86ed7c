/** How many bytes `text` has in UTF-8, without encoding it. A lone surrogate counts as the three bytes of U+FFFD. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit <= 0xdbff && isLowSurrogate(text.charCodeAt(i + 1))) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
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
      const splits = last >= 0xd800 && last <= 0xdbff;
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
