// What the benchmarks share: processes that tell their CPU time, statistics, tables.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const children = [];
export function start(module, env = {}, ...args) {
  const child = fork(file('./child.mjs'), [module, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.push(child);
  const answer = (wanted) =>
    new Promise((resolve) => {
      const listen = (message) => {
        if (!(wanted in message)) return;
        child.off('message', listen);
        resolve(message);
      };
      child.on('message', listen);
    });
  return {
    answer,
    port: answer('port').then(({ port }) => port),
    async cpu() {
      const told = answer('cpu');
      child.send('cpu');
      return told;
    },
  };
}

/** Ends all processes. */
export function stopAll() {
  for (const child of children) if (child.connected) child.disconnect();
}

/** Resolves when the service answers. */
export async function healthy(url) {
  while (
    !(await fetch(`${url}/health`).then(
      (answer) => answer.ok,
      () => false,
    ))
  )
    await new Promise((resolve) => setTimeout(resolve, 50));
}

/** A port that is probably free. */
export const anyPort = () => 20_000 + Math.floor(Math.random() * 20_000);

export const print = (line) => process.stdout.write(`${line}\n`);
const sorted = (values) => [...values].sort((a, b) => a - b);
export const quantile = (values, part) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * part))];
export const median = (values) => quantile(values, 0.5);
export const ms = (value) => `${value.toFixed(2)} ms`;
export const us = (value) => `${value.toFixed(1)} µs`;
export const times = (value) => `${value.toFixed(2)} ×`;
export const verdict = (value, target) => `${value <= target ? 'reached' : 'NOT REACHED'} (target ≤ ${target})`;

export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? '').length)));
  for (const row of rows) print(`  ${row.map((cell, column) => String(cell ?? '').padEnd(widths[column])).join('  ')}`);
  print('');
}
