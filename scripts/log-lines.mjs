// The services' JSON log lines as a person reads them.
import { createInterface } from 'node:readline';
import { prettyFactory } from 'pino-pretty';
import { toTerminal } from './terminal-text.mjs';

const colorize =
  process.env.NO_COLOR === undefined && (process.stdout.isTTY === true || process.env.FORCE_COLOR !== undefined);
const pretty = prettyFactory({ colorize, singleLine: true, ignore: 'service', translateTime: 'SYS:HH:MM:ss.l' });

/** @param {number} code @param {string} text */
export function paint(code, text) {
  return colorize ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/**
 * Errors in the logs may quote a model or a provider: nothing of theirs reaches the terminal as it is.
 * @param {string} line
 */
function readable(line) {
  try {
    if (line.startsWith('{'))
      return pretty(JSON.parse(line, (_, value) => (typeof value === 'string' ? toTerminal(value) : value)));
  } catch {
    // A line that only looks like one of ours.
  }
  return toTerminal(line);
}

/**
 * Calls `write` with each line of `stream`, prettified.
 * @param {import('node:stream').Readable | null} stream
 * @param {(line: string) => void} write
 */
export function prettyLines(stream, write) {
  if (stream === null) return;
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
    for (const part of readable(line).trimEnd().split('\n')) write(part);
  });
}
