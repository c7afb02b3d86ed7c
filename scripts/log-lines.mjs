// The services' JSON log lines as a person reads them.
import { createInterface } from 'node:readline';

const LEVEL_COLOURS = { trace: 90, debug: 36, info: 32, warn: 33, error: 31, fatal: 31 };
const colours = process.env.NO_COLOR === undefined && (process.stdout.isTTY || process.env.FORCE_COLOR !== undefined);

/** @param {number} code @param {string} text */
export function paint(code, text) {
  return colours ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** @param {string} line */
function prettyLine(line) {
  if (!line.startsWith('{')) return line;
  try {
    const { level, time, msg, service: _service, err, ...rest } = JSON.parse(line);
    const fields = Object.entries(rest).map(([name, value]) =>
      paint(90, `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`),
    );
    const head = `${paint(90, String(time).slice(11, 23))} ${paint(LEVEL_COLOURS[level] ?? 37, String(level).toUpperCase().padEnd(5))}`;
    return [`${head} ${msg ?? ''}`, ...fields].join(' ') + (err?.stack === undefined ? '' : `\n${err.stack}`);
  } catch {
    return line;
  }
}

/**
 * Calls `write` with each line of `stream`, prettified.
 * @param {import('node:stream').Readable | null} stream
 * @param {(line: string) => void} write
 */
export function prettyLines(stream, write) {
  if (stream === null) return;
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
    for (const part of prettyLine(line).split('\n')) write(part);
  });
}
