import { Client as McpClient, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client';
import { WebSocket } from 'ws';
import type { GatewayRouter } from '../../packages/gateway/src/router.ts';
import { transformer } from '../../packages/protocol/src/index.ts';
import { type Client, createClient, type Session, tool } from '../../packages/sdk/src/index.ts';
import { readSse } from '../support/doors.ts';
import { type Plan, toMessage } from './plan.ts';
import { keys, type World } from './world.ts';

/** Longer than anything is waited for. */
const PATIENCE_MS = 240_000;

/** One way to ask. Throws what a user of that way would get. */
export interface ChaosClient {
  door: string;
  /** Whether its session has tools that run in it. */
  hasTools: boolean;
  sessionId: string;
  /** Asks, and returns the text that was said to be final; undefined where this way has none to say after its line was cut. */
  ask(plan: Plan): Promise<string | undefined>;
  close(): void;
}

/** How often each call was made in a client. */
export const made = new Map<string, number>();

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const jsonHeaders = (key: string) => ({ 'x-internal-auth': key, 'content-type': 'application/json' });

/** What a caller does whose line is cut, or who is told to come again: it calls again, with the same id. */
async function again<T>(work: (attempt: number) => Promise<T>): Promise<T> {
  const until = Date.now() + PATIENCE_MS;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      const isCut =
        error instanceof Cut || (error instanceof TypeError && /fetch failed|terminated/.test(error.message));
      if (!isCut || Date.now() > until) throw error;
      await pause(200);
    }
  }
}

/** The line was cut, or the service behind is away for a moment. */
class Cut extends Error {}

class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

/** How often a caller was told to send the same again, and did. */
export const sentAgain = { count: 0 };

/** A refusal that says itself that the same may be sent again is a wait, not a failure: PROTOCOL.md §7. */
function toFailure({ code, message, content }: { code: string; message?: string; content?: string }): Error {
  if (code === 'OVERLOADED') sentAgain.count++;
  return code === 'OVERLOADED' ? new Cut(message ?? content) : new Refused(code, message ?? content ?? '');
}

async function call<T>(url: string, key: string, body?: object): Promise<T> {
  const response = await fetch(url, {
    headers: jsonHeaders(key),
    signal: AbortSignal.timeout(PATIENCE_MS),
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  const answer = (await response.json().catch(() => {
    throw new Cut('the answer broke off');
  })) as T & { error?: { code: string; message: string } };
  if (!response.ok && answer.error !== undefined) throw toFailure(answer.error);
  return answer;
}

function sdkClient(
  world: World,
  name: string,
  sessionId: string,
  read: (session: Session, message: string) => Promise<string>,
) {
  const withTools = (hasTools: boolean): ChaosClient => {
    const count = (callId: string) => made.set(callId, (made.get(callId) ?? 0) + 1);
    const input = { type: 'object' as const };
    const client: Client = createClient({
      url: world.urls.gateway,
      token: keys.gateway,
      timeoutMs: 60_000,
      tools: hasTools
        ? {
            look: tool({
              description: 'Looks',
              input,
              kind: 'read',
              execute: async ({ id }, { callId }) => {
                count(callId);
                await pause(30);
                return `seen ${id}`;
              },
            }),
            change: tool({
              description: 'Changes',
              input,
              kind: 'write',
              execute: async ({ id }, { callId }) => {
                count(callId);
                await pause(30);
                return `changed ${id}`;
              },
            }),
          }
        : {},
    });
    let session: Promise<Session> | undefined;
    return {
      door: `${name}${hasTools ? ' with tools' : ''}`,
      hasTools,
      sessionId,
      async ask(plan) {
        session ??= client.sessions.create({ sessionId }).then((made) => {
          made.onApproval(async () => {
            await pause(50);
            return { decision: 'allow' };
          });
          return made;
        });
        return read(await session, toMessage(plan));
      },
      close: () => client.close(),
    };
  };
  return withTools;
}

const finished = (session: Session, message: string) =>
  session
    .send(message)
    .finished()
    .then(({ text }) => text);

async function textStream(session: Session, message: string): Promise<string> {
  let text = '';
  for await (const token of session.send(message).textStream) text += token;
  return text;
}

/** The text that the events of the run say, read as PROTOCOL.md tells a reader to. */
async function runEvents(session: Session, message: string): Promise<string> {
  const said = new Map<string, string>();
  for await (const event of session.send(message).events) {
    if (event.type === 'item.started' && event.item.kind === 'assistant_message') said.set(event.item.itemId, '');
    if (event.type === 'item.delta' && said.has(event.itemId)) {
      const before = said.get(event.itemId) as string;
      if (event.offset !== before.length) throw new Error(`a gap: ${before.length} and then ${event.offset}`);
      said.set(event.itemId, before + event.text);
    }
    if (event.type === 'item.completed' && said.has(event.item.itemId)) {
      const shown = said.get(event.item.itemId) as string;
      if (!event.item.text.startsWith(shown)) throw new Error('the whole item is not what was shown of it');
      said.set(event.item.itemId, event.item.text);
    }
    if (event.type === 'item.discarded') said.delete(event.itemId);
    if (event.type === 'run.finished' && event.error !== undefined) throw toFailure(event.error);
  }
  return [...said.values()].join('');
}

interface SeenItem {
  itemId: string;
  kind: string;
  runId: string;
  inputId?: string;
  text: string;
}

/** Folds a session's events, as a reader does that has nothing but PROTOCOL.md; `push` returns the end of the run of `inputId`. */
function createReader(inputId: string) {
  const items = new Map<string, SeenItem>();
  let runId: string | undefined;
  let wasReset = false;
  return {
    runId: () => runId,
    text: () =>
      [...items.values()]
        .filter(({ kind, runId: of }) => kind === 'assistant_message' && of === runId)
        .map(({ text }) => text)
        .join(''),
    // biome-ignore lint/suspicious/noExplicitAny: events are looked into
    push(event: any): 'over' | 'may be over' | undefined {
      switch (event.type) {
        case 'input.delivered':
          if (event.inputId === inputId) runId = event.runId;
          break;
        case 'item.started':
        case 'item.completed':
          items.set(event.item.itemId, { ...event.item });
          break;
        case 'item.delta': {
          const shown = items.get(event.itemId);
          if (shown !== undefined) shown.text = shown.text.slice(0, event.offset) + event.text;
          break;
        }
        case 'item.discarded':
          items.delete(event.itemId);
          break;
        case 'stream.reset':
          wasReset = true;
          items.clear();
          for (const item of event.items as SeenItem[]) {
            items.set(item.itemId, { ...item });
            if (item.inputId === inputId) runId = item.runId;
          }
          break;
        case 'stream.synced':
          return wasReset && runId !== undefined && event.runId !== runId ? 'may be over' : undefined;
        case 'run.finished':
          if (event.runId !== runId) return undefined;
          if (event.error !== undefined) throw toFailure(event.error);
          return 'over';
      }
      return undefined;
    },
  };
}

function restClient(world: World, sessionId: string): ChaosClient {
  const base = `${world.urls.gateway}/api/v1/sessions/${sessionId}`;
  return {
    door: 'REST and SSE',
    hasTools: false,
    sessionId,
    async ask(plan) {
      const inputId = `in-${plan.id}`;
      const sent = await again(() =>
        call<{ eventId: string }>(`${base}/inputs`, keys.gateway, {
          inputId,
          content: toMessage(plan),
          createSession: true,
        }),
      );
      const reader = createReader(inputId);
      let lastEventId = sent.eventId;
      return again(async () => {
        const response = await fetch(`${base}/events`, {
          headers: { ...jsonHeaders(keys.gateway), 'last-event-id': lastEventId },
          signal: AbortSignal.timeout(PATIENCE_MS),
        });
        if (!response.ok)
          throw toFailure(((await response.json()) as { error: { code: string; message: string } }).error);
        for await (const { id, event, data } of readSse(response)) {
          if (event === 'error') throw toFailure(JSON.parse(data));
          if (id !== undefined) lastEventId = id;
          const end = reader.push(JSON.parse(data));
          if (end === 'over') return reader.text();
          if (end === 'may be over') {
            const run = await again(() => call<{ status: string }>(`${base}/runs/${reader.runId()}`, keys.gateway));
            if (run.status !== 'running') return reader.text();
          }
        }
        throw new Cut('the events ended');
      });
    },
    close() {},
  };
}

function trpcClient(world: World, sessionId: string): ChaosClient {
  const socket = createWSClient({
    url: `${world.urls.gateway.replace('http', 'ws')}/trpc`,
    WebSocket: WebSocket as never,
    connectionParams: { token: keys.gateway },
    retryDelayMs: () => 200,
  });
  const trpc = createTRPCClient<GatewayRouter>({ links: [wsLink({ client: socket, transformer })] });
  const isLost = (error: unknown) => {
    const { data } = error as { data?: { code?: string } | null };
    return data == null || data.code === 'OVERLOADED';
  };
  return {
    door: 'tRPC, with its own client',
    hasTools: false,
    sessionId,
    async ask(plan) {
      const inputId = `in-${plan.id}`;
      const lost = (error: unknown) => {
        throw isLost(error) ? new Cut('lost') : error;
      };
      const { eventId } = await again(() =>
        trpc.input.send
          .mutate(
            { sessionId, inputId, content: toMessage(plan), createSession: true },
            { signal: AbortSignal.timeout(20_000) },
          )
          .catch(lost),
      );
      const reader = createReader(inputId);
      let lastEventId = eventId;
      return again(
        () =>
          new Promise<string>((resolve, reject) => {
            const subscription = trpc.session.events.subscribe(
              { sessionId, lastEventId },
              {
                onData({ id, data }) {
                  lastEventId = id;
                  try {
                    const end = reader.push(data);
                    if (end === 'over') over();
                    if (end === 'may be over')
                      void again(() =>
                        trpc.run.get
                          .query({ sessionId, runId: reader.runId() ?? '' }, { signal: AbortSignal.timeout(20_000) })
                          .catch(lost),
                      ).then(({ status }) => (status === 'running' ? undefined : over()), reject);
                  } catch (error) {
                    reject(error as Error);
                  }
                },
                onError: (error) => reject(isLost(error) ? new Cut('lost') : error),
                onComplete: () => reject(new Cut('ended')),
              },
            );
            const over = () => {
              resolve(reader.text());
              subscription.unsubscribe();
            };
          }),
      );
    },
    close: () => socket.close(),
  };
}

/** One answer, or one stream of frames, of one request that may be sent again. */
function messageClient(world: World, sessionId: string, door: string, toBody: (plan: Plan) => object): ChaosClient {
  const isRuntime = door.startsWith('/agent');
  const url = `${isRuntime ? world.urls.runtime : world.urls.gateway}${door.split(' ')[0]}`;
  const key = isRuntime ? keys.runtime : keys.gateway;
  return {
    door,
    hasTools: false,
    sessionId,
    async ask(plan) {
      const body = { session_id: sessionId, message_id: plan.id, ...toBody(plan) };
      if (!door.includes('stream')) return (await again(() => call<{ message: string }>(url, key, body))).message;
      return again(async () => {
        const response = await fetch(url, {
          method: 'POST',
          headers: jsonHeaders(key),
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(PATIENCE_MS),
        });
        if (!response.ok)
          throw toFailure(((await response.json()) as { error: { code: string; message: string } }).error);
        let text = '';
        let isFinal = false;
        for await (const { data } of readSse(response)) {
          if (data === '[DONE]') {
            if (!isFinal) throw new Error('[DONE] without an end');
            return text;
          }
          const frame = JSON.parse(data);
          if (frame.type === 'error') throw toFailure(frame);
          if (isFinal) throw new Error('something after the end');
          text += frame.token;
          isFinal = frame.is_final;
        }
        throw new Cut('the stream broke off');
      });
    },
    close() {},
  };
}

interface Stored {
  items: Array<{ kind: string; runId: string; text: string }>;
}

/** The run of a message that may have been accepted, where it was: for ways that have no name for a message. */
async function runOf(
  world: World,
  sessionId: string,
  message: string,
): Promise<{ runId: string; status: string } | undefined> {
  const base = `${world.urls.gateway}/api/v1/sessions/${sessionId}`;
  const stored = await again(() => call<Stored>(`${base}/items?limit=200`, keys.gateway)).catch((error: unknown) => {
    if (error instanceof Refused && error.code === 'NOT_FOUND') return { items: [] };
    throw error;
  });
  const runId = stored.items.find(({ kind, text }) => kind === 'user_message' && text === message)?.runId;
  if (runId === undefined) return undefined;
  return { runId, ...(await again(() => call<{ status: string }>(`${base}/runs/${runId}`, keys.gateway))) };
}

/** The raw WebSocket. It has no resume: after a cut the rest of the answer is shown to whoever connects, else the history has it. */
function rawClient(world: World, sessionId: string): ChaosClient {
  const url = `${world.urls.gateway.replace('http', 'ws')}/ws/${sessionId}`;
  return {
    door: '/ws',
    hasTools: false,
    sessionId,
    async ask(plan) {
      const message = toMessage(plan);
      let wasCut = false;
      let isAccepted = false;
      return again(async (attempt) => {
        wasCut = attempt > 0;
        if (wasCut) {
          const run = await runOf(world, sessionId, message);
          if (run !== undefined && run.status !== 'running') {
            if (run.status !== 'completed') throw new Refused('RUN', run.status);
            return undefined;
          }
          isAccepted = run !== undefined;
        }
        return new Promise<string | undefined>((resolve, reject) => {
          const socket = new WebSocket(url, { headers: { 'x-internal-auth': keys.gateway } });
          let text = '';
          const end = (error: Error) => {
            socket.terminate();
            reject(error);
          };
          // Whatever was over before this connection came is told by the history.
          const look = setInterval(() => {
            if (wasCut && isAccepted)
              runOf(world, sessionId, message).then((run) => {
                if (run?.status !== 'running') end(new Cut('it is over'));
              }, end);
          }, 3_000);
          socket.on('close', () => {
            clearInterval(look);
            reject(new Cut('closed'));
          });
          socket.on('error', () => reject(new Cut('failed')));
          socket.on('open', () => {
            if (!isAccepted)
              socket.send(
                JSON.stringify({ type: 'user_message', content: message, message_id: plan.id, input_id: plan.id }),
              );
          });
          socket.on('message', (data) => {
            const frame = JSON.parse(String(data));
            if (frame.status === 'received') isAccepted = true;
            if (frame.type === 'error') return end(toFailure(frame));
            if (frame.type !== 'assistant_message') return;
            text += frame.token;
            if (!frame.is_final) return;
            resolve(wasCut ? undefined : text);
            socket.terminate();
          });
        });
      });
    },
    close() {},
  };
}

function mcpClient(world: World, sessionId: string): ChaosClient {
  const callTool = async (name: string, args: object): Promise<Record<string, string>> => {
    const client = new McpClient({ name: 'chaos', version: '1' });
    try {
      const transport = new StreamableHTTPClientTransport(new URL(`${world.urls.runtime}/mcp`), {
        requestInit: { headers: { 'x-internal-auth': keys.runtime, connection: 'close' } },
      });
      await client.connect(transport);
      const { content, isError } = await client.callTool(
        { name, arguments: { session_id: sessionId, ...args } },
        { timeout: 40_000 },
      );
      const { text } = (content as Array<{ text: string }>)[0] as { text: string };
      if (!isError) return JSON.parse(text);
      const [code = '', ...rest] = text.split(': ');
      throw toFailure({ code, message: rest.join(': ') });
    } catch (error) {
      if (error instanceof Cut || error instanceof Refused) throw error;
      throw new Cut(String(error));
    } finally {
      await client.close().catch(() => {});
    }
  };
  return {
    door: 'MCP',
    hasTools: false,
    sessionId,
    async ask(plan) {
      const message = toMessage(plan);
      await again(() => call(`${world.urls.gateway}/api/v1/sessions`, keys.gateway, { sessionId }));
      return again(async () => {
        const input_id = plan.id;
        let sent = await callTool('send_message', { message, input_id, wait_seconds: 20 });
        while (sent.status === 'running') sent = await callTool('read_answer', { input_id, wait_seconds: 20 });
        if (sent.status !== 'completed') throw new Refused('MCP', `${sent.status}`);
        return sent.answer;
      });
    },
    close() {},
  };
}

/** Fifty clients over every door, a third of them with tools of their own. */
export function createClients(world: World, count: number): ChaosClient[] {
  return Array.from({ length: count }, (_, index) => {
    const id = `chaos-${index}`;
    const kinds: Array<() => ChaosClient> = [
      () => sdkClient(world, 'SDK finished()', id, finished)(true),
      () => restClient(world, id),
      () => messageClient(world, id, '/api/v1/message', (plan) => ({ message: toMessage(plan) })),
      () => sdkClient(world, 'SDK textStream', id, textStream)(true),
      () => trpcClient(world, id),
      () => rawClient(world, id),
      () => sdkClient(world, 'SDK run.events', id, runEvents)(true),
      () => messageClient(world, id, '/api/v1/message stream', (plan) => ({ message: toMessage(plan), stream: true })),
      () => messageClient(world, id, '/agent/message/stream', (plan) => ({ role: 'user', content: toMessage(plan) })),
      () => mcpClient(world, id),
      () => sdkClient(world, 'SDK finished()', id, finished)(false),
      () => sdkClient(world, 'SDK textStream', id, textStream)(true),
    ];
    return (kinds[index % kinds.length] as () => ChaosClient)();
  });
}
