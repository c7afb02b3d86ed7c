// What the benchmarks share: processes that tell their CPU time, statistics, tables.
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
export const root = file('..');
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

/** Starts the three services of a tree, with their state in `folder`, and waits for them. `config` is llm-proxy's configuration file. */
export async function startServices({ tree, folder, config, key }) {
  writeFileSync(join(folder, 'config.yaml'), config);
  const [gateway, runtime, llmProxy] = [anyPort(), anyPort(), anyPort()];
  const settings = {
    GATEWAY__PORT: gateway,
    GATEWAY__INTERNAL_API_KEY: key,
    GATEWAY__AGENT_RUNTIME_URL: `http://127.0.0.1:${runtime}`,
    AGENT_RUNTIME__PORT: runtime,
    AGENT_RUNTIME__INTERNAL_API_KEY: key,
    AGENT_RUNTIME__LLM_PROXY_URL: `http://127.0.0.1:${llmProxy}`,
    AGENT_RUNTIME__DATABASE_URL: `file:${join(folder, 'agent-runtime.db')}`,
    AGENT_RUNTIME__LLM_MODEL: 'quick/fake-1',
    LLM_PROXY__PORT: llmProxy,
    LLM_PROXY__INTERNAL_API_KEY: key,
    LLM_PROXY__CONFIG: join(folder, 'config.yaml'),
  };
  const services = ['llm-proxy', 'agent-runtime', 'gateway'].map((name) => ({
    name,
    ...start(pathToFileURL(join(tree, 'packages', name, 'dist', 'main.js')).href, settings),
  }));
  for (const port of [llmProxy, runtime, gateway]) await healthy(`http://127.0.0.1:${port}`);
  return { url: `http://127.0.0.1:${gateway}`, services };
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
