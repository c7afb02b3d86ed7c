// The services' JSON log lines as a person reads them.
import { createInterface } from 'node:readline';
import { prettyFactory } from 'pino-pretty';

const colorize =
  process.env.NO_COLOR === undefined && (process.stdout.isTTY === true || process.env.FORCE_COLOR !== undefined);
const pretty = prettyFactory({ colorize, singleLine: true, ignore: 'service', translateTime: 'SYS:HH:MM:ss.l' });

/** @param {number} code @param {string} text */
export function paint(code, text) {
  return colorize ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/**
 * Calls `write` with each line of `stream`, prettified.
 * @param {import('node:stream').Readable | null} stream
 * @param {(line: string) => void} write
 */
export function prettyLines(stream, write) {
  if (stream === null) return;
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
    const text = line.startsWith('{') ? pretty(line) : line;
    for (const part of text.trimEnd().split('\n')) write(part);
  });
}
