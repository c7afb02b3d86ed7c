import { fileURLToPath } from 'node:url';
import { freePorts, type Running, run } from '../support/checkout.ts';
import { type CuttableProxy, startCuttableProxy } from '../support/cuttable-proxy.ts';
import type { Random } from './plan.ts';

export const names = ['gateway', 'agent-runtime', 'llm-proxy'] as const;
export type Name = (typeof names)[number];

export const keys = {
  gateway: 'chaos-key-of-gateway',
  runtime: 'chaos-key-of-runtime',
  llmProxy: 'chaos-key-of-llm-proxy',
};

/** The three services as processes that are killed and started again, and the lines between them, which are cut. */
export interface World {
  /** gateway, and agent-runtime for those that talk to it themselves. */
  urls: { gateway: string; runtime: string };
  /** What was done to it. */
  done: Record<Name | 'cuts', number>;
  /** Kills one service every `everyMs` and cuts some of the lines every second, until the result is called. */
  disturb(everyMs: number): () => Promise<void>;
  /** What the services logged as errors. */
  errors(): string[];
  close(): Promise<void>;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const RESTART_MS = 300;
const CUT_SHARE = 0.3;

export async function startWorld(random: Random, databaseUrl: string, providerUrl: string): Promise<World> {
  const [gateway = 0, runtime = 0, llmProxy = 0] = await freePorts(3);
  const urlOf = (port: number) => `http://127.0.0.1:${port}`;
  const front = await startCuttableProxy(urlOf(gateway));
  const side = await startCuttableProxy(urlOf(runtime));
  const back = await startCuttableProxy(urlOf(runtime));
  const env: Record<string, string> = {
    GATEWAY__PORT: String(gateway),
    GATEWAY__INTERNAL_API_KEY: keys.gateway,
    GATEWAY__AGENT_RUNTIME_URL: back.url,
    AGENT_RUNTIME__PORT: String(runtime),
    AGENT_RUNTIME__INTERNAL_API_KEY: keys.runtime,
    AGENT_RUNTIME__LLM_PROXY_URL: urlOf(llmProxy),
    AGENT_RUNTIME__DATABASE_URL: databaseUrl,
    LLM_PROXY__PORT: String(llmProxy),
    LLM_PROXY__INTERNAL_API_KEY: keys.llmProxy,
    LLM_PROXY__OPENAI_BASE_URL: providerUrl,
    LLM_PROXY__OPENAI_API_KEY: 'sk-chaos',
    LLM_PROXY__DEFAULT_MODEL: 'openai/fake-1',
  };
  const running = new Map<Name, Running>();
  const errors: string[] = [];
  const done = { gateway: 0, 'agent-runtime': 0, 'llm-proxy': 0, cuts: 0 };
  const start = async (name: Name) => {
    const child = run(process.execPath, [`packages/${name}/dist/main.js`], { cwd: root, env });
    await child.line(/listens on/);
    running.set(name, child);
  };
  const collect = (name: Name) => {
    for (const line of running.get(name)?.lines ?? [])
      if (/"level":(50|60)/.test(line)) errors.push(`${name}: ${line}`);
  };
  const kill = async (name: Name) => {
    const child = running.get(name);
    if (child === undefined) return;
    collect(name);
    running.delete(name);
    child.signalGroup('SIGKILL');
    await child.exited;
    done[name]++;
    await new Promise((resolve) => setTimeout(resolve, RESTART_MS));
    await start(name);
  };
  for (const name of ['llm-proxy', 'agent-runtime', 'gateway'] as const) await start(name);

  return {
    urls: { gateway: front.url, runtime: side.url },
    done,
    disturb(everyMs) {
      const restarts = new Set<Promise<void>>();
      const kills = setInterval(() => {
        // One that is still starting is left to it.
        const restarted = kill(random.pick(names));
        restarts.add(restarted);
        restarted.then(() => restarts.delete(restarted));
      }, everyMs);
      const cuts = setInterval(() => {
        const line: CuttableProxy = random.pick([front, side, back]);
        line.cut(() => random.isOneOf(CUT_SHARE));
        done.cuts++;
      }, 1_000);
      return async () => {
        clearInterval(kills);
        clearInterval(cuts);
        await Promise.all(restarts);
      };
    },
    errors() {
      for (const name of names) collect(name);
      return errors;
    },
    async close() {
      for (const child of running.values()) child.signalGroup('SIGKILL');
      await Promise.all([...running.values()].map(({ exited }) => exited));
      await Promise.all([front.close(), side.close(), back.close()]);
    },
  };
}
