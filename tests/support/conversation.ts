import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { startGateway } from '../../packages/gateway/src/app.ts';
import { loadEnv as loadGatewayEnv } from '../../packages/gateway/src/env.ts';
import { startLlmProxy } from '../../packages/llm-proxy/src/app.ts';
import { loadEnv as loadLlmProxyEnv } from '../../packages/llm-proxy/src/env.ts';
import { createClient, type Run, type Session, tool } from '../../packages/sdk/src/index.ts';
import { freePorts, type Running, run as start } from './checkout.ts';
import { type ProviderCall, startFakeProvider } from './fake-provider.ts';
import { keys } from './stack.ts';
import { anthropicMistakes, openAiMistakes } from './wire-rules.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** agent-runtime as a process, that can be killed. */
async function startRuntime(port: number, database: string, llmProxy: string): Promise<Running> {
  const child = start(process.execPath, ['packages/agent-runtime/dist/main.js'], {
    cwd: root,
    env: {
      AGENT_RUNTIME__PORT: String(port),
      AGENT_RUNTIME__INTERNAL_API_KEY: keys.runtime,
      AGENT_RUNTIME__LLM_PROXY_URL: llmProxy,
      AGENT_RUNTIME__LLM_PROXY_API_KEY: keys.llmProxy,
      AGENT_RUNTIME__DATABASE_URL: database,
    },
  });
  await child.line(/listens on/);
  return child;
}

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into
type Message = any;

/** Answers by what was said, so that a step that is asked for again gets the same answer. */
function scripted(mistakes: string[]) {
  return async (call: ProviderCall): Promise<void> => {
    if (call.path.endsWith('/messages')) {
      mistakes.push(...anthropicMistakes(call.body));
      await call.event('message_start', {
        message: {
          id: 'msg',
          type: 'message',
          role: 'assistant',
          model: 'claude',
          content: [],
          usage: { input_tokens: 1, output_tokens: 1 },
        },
      });
      await call.event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
      await call.event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'checked' } });
      await call.event('content_block_stop', { index: 0 });
      await call.event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } });
      await call.event('message_stop');
      call.response.end();
      return;
    }
    mistakes.push(...openAiMistakes(call.body));
    const messages: Message[] = call.body.messages.filter(({ role }: Message) => role !== 'system');
    const asked = messages.findLastIndex(({ role, content }) => role === 'user' && content !== 'steered');
    const since = messages.slice(asked + 1);
    const hasResults = since.some(({ role }) => role === 'tool');
    const scene = messages[asked].content;
    const calls: Record<string, Parameters<ProviderCall['tools']>> = {
      parallel: [
        { name: 'read', args: { path: 'a' } },
        { name: 'read', args: { path: 'b' } },
        { name: 'calculator', args: { expression: '6 * 7' } },
        { name: 'plan', args: { entries: [{ text: 'look', status: 'in_progress' }] } },
      ],
      edit: [{ name: 'write', args: { path: 'edited', content: 'model' } }],
      reject: [{ name: 'write', args: { path: 'rejected', content: 'model' } }],
      switch: [{ name: 'switch_agent', args: { agent: 'coder', reason: 'it codes' } }],
      steer: [{ name: 'read', args: { path: 'c' } }],
    };
    await call.text(`${scene} `);
    if (scene === 'cancel') {
      await call.aborted;
      return;
    }
    if (!hasResults && calls[scene] !== undefined) {
      await call.tools(...(calls[scene] as Parameters<ProviderCall['tools']>));
      return call.finish('tool_calls');
    }
    await call.text('done');
    await call.finish();
  };
}

/** Tools and people take their time: a kill shall meet them at it. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 25));

/** Has the whole conversation, as a client that knows nothing of what goes wrong. Resolves with how each message ended. */
async function converse(session: Session): Promise<string[]> {
  const outcomes: string[] = [];
  const ended = async (run: Run) => {
    const outcome = await run.finished().then(
      ({ status }) => status,
      ({ code }) => code as string,
    );
    outcomes.push(outcome);
  };
  for (const scene of ['parallel', 'edit', 'reject', 'switch']) await ended(session.send(scene));
  const steered = session.send('steer');
  const steer = session.send('steered', { whenBusy: 'steer' });
  await ended(steered);
  await ended(steer);
  const endless = session.send('cancel');
  await endless.textStream[Symbol.asyncIterator]().next();
  await endless.cancel();
  await ended(endless);
  return outcomes;
}

/** Tells how each message of the conversation ends, whatever goes wrong meanwhile. */
export const expectedOutcomes = [
  'completed',
  'completed',
  'completed',
  'completed',
  'completed',
  'completed',
  'cancelled',
];

export interface ConversationWorld {
  /** Begins the conversation in a new session. */
  begin(sessionId: string): Promise<{ session: Session; outcomes: Promise<string[]> }>;
  /** Holds what is stored of a finished conversation against what happened, and has both wires take it. */
  check(session: Session): Promise<void>;
  /** Kills agent-runtime, and starts it again on the same database. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Starts everything that a conversation with tools, approvals, a switch, a steer and a stop needs; agent-runtime as a process. */
export async function startConversationWorld(databaseUrl: string): Promise<ConversationWorld> {
  const cleanups: Array<() => Promise<unknown> | unknown> = [];
  const mistakes: string[] = [];
  const provider = await startFakeProvider(scripted(mistakes));
  cleanups.push(() => provider.close());
  const llmProxy = await startLlmProxy(
    loadLlmProxyEnv({
      LLM_PROXY__PORT: '0',
      LLM_PROXY__INTERNAL_API_KEY: keys.llmProxy,
      LLM_PROXY__LOG_LEVEL: 'silent',
      LLM_PROXY__OPENAI_BASE_URL: provider.url,
      LLM_PROXY__OPENAI_API_KEY: 'sk-test',
      LLM_PROXY__ANTHROPIC_BASE_URL: provider.url.replace('/v1', ''),
      LLM_PROXY__ANTHROPIC_API_KEY: 'sk-test',
      LLM_PROXY__DEFAULT_MODEL: 'openai/fake-1',
    }),
  );
  cleanups.push(() => llmProxy.close());
  const [port = 0] = await freePorts(1);
  let runtime = await startRuntime(port, databaseUrl, llmProxy.url);
  cleanups.push(() => runtime.signalGroup('SIGKILL'));
  const gateway = await startGateway(
    loadGatewayEnv({
      GATEWAY__PORT: '0',
      GATEWAY__INTERNAL_API_KEY: keys.gateway,
      GATEWAY__LOG_LEVEL: 'silent',
      GATEWAY__AGENT_RUNTIME_URL: `http://127.0.0.1:${port}`,
      GATEWAY__AGENT_RUNTIME_API_KEY: keys.runtime,
    }),
  );
  cleanups.push(() => gateway.close());

  /** How often each call was made here. */
  const made = new Map<string, number>();
  const count = (callId: string) => made.set(callId, (made.get(callId) ?? 0) + 1);
  const written: string[] = [];
  const input = { type: 'object' as const };
  const client = createClient({
    url: gateway.url,
    token: keys.gateway,
    tools: {
      read: tool({
        description: 'Reads',
        input,
        kind: 'read',
        execute: async (args, { callId }) => {
          count(callId);
          await aWhile();
          return `content of ${args.path}`;
        },
      }),
      write: tool({
        description: 'Writes',
        input,
        kind: 'write',
        resource: 'path',
        execute: async (args, { callId }) => {
          count(callId);
          await aWhile();
          written.push(`${args.path}: ${args.content}`);
        },
      }),
    },
  });
  cleanups.push(() => client.close());

  const open = async (sessionId: string) => {
    const session = await client.sessions.create({ sessionId });
    session.onApproval(async ({ arguments: args }) => {
      await aWhile();
      return args.path === 'rejected'
        ? { decision: 'reject', feedback: 'not that file' }
        : { decision: 'edit', arguments: { path: 'edited', content: 'person' } };
    });
    return session;
  };
  return {
    async begin(sessionId) {
      const session = await open(sessionId);
      written.length = 0;
      return { session, outcomes: converse(session) };
    },
    async check(session) {
      const { items } = await session.items({ limit: 200 });
      const said = items.filter(({ kind }) => kind === 'user_message').map(({ text }) => text);
      expect(said).toEqual(['parallel', 'edit', 'reject', 'switch', 'steer', 'steered', 'cancel']);
      expect(items.filter(({ status }) => status === 'in_progress')).toEqual([]);
      const calls = items.flatMap(({ toolCall }) => toolCall ?? []);
      expect(calls.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
        'read succeeded',
        'read succeeded',
        'calculator succeeded',
        'plan succeeded',
        'write succeeded',
        'write rejected',
        'switch_agent succeeded',
        'read succeeded',
      ]);
      expect(items.filter(({ kind }) => kind === 'agent_switch')).toHaveLength(1);
      expect(items.filter(({ kind }) => kind === 'plan')).toHaveLength(1);
      expect(written).toEqual(['edited: person']);
      expect([...made.values()].filter((times) => times !== 1)).toEqual([]);
      expect(await session.approvals()).toEqual([]);
      // Both wires take what is stored.
      for (const model of ['openai/fake-1', 'anthropic/claude-fake'])
        expect(await session.send('check', { model }).finished()).toMatchObject({ status: 'completed' });
      expect(mistakes).toEqual([]);
      session.close();
    },
    async restart() {
      runtime.signalGroup('SIGKILL');
      await runtime.exited;
      runtime = await startRuntime(port, databaseUrl, llmProxy.url);
    },
    async close() {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    },
  };
}
