import { Client as McpClient, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createTRPCClient, createWSClient, httpLink, httpSubscriptionLink, splitLink, wsLink } from '@trpc/client';
import { WebSocket } from 'ws';
import type { GatewayRouter } from '../../packages/gateway/src/router.ts';
import { transformer } from '../../packages/protocol/src/index.ts';
import type { CodelabError, Session } from '../../packages/sdk/src/index.ts';
import { keys, type Stack } from './stack.ts';

/** What a person gets back for one message, whichever door it went through. */
export interface Answer {
  text: string;
  /** The code of the error that ended it, if one did. */
  error?: string;
  /** How many ends the stream had: there must be one. */
  ends: number;
}

/** One way to send a message and read the answer. */
export interface Door {
  name: string;
  ask(stack: Stack, sessionId: string, content: unknown, model?: string): Promise<Answer>;
}

const headers = { 'x-internal-auth': keys.gateway, 'content-type': 'application/json' };

interface Seen {
  type: string;
  [field: string]: unknown;
}
interface SeenItem {
  itemId: string;
  kind: string;
  runId: string;
  inputId?: string;
  text: string;
}

/** The events of one input's run, as an answer: read as PROTOCOL.md §4 and §5 tell a reader to. */
async function collect(
  subscribe: (onEvent: (event: Seen) => void, onError: (error: unknown) => void) => () => void,
  inputId: string,
): Promise<Answer> {
  const items = new Map<string, SeenItem>();
  let runId: unknown;
  let wasReset = false;
  const text = () =>
    [...items.values()]
      .filter((item) => item.kind === 'assistant_message' && item.runId === runId)
      .map((item) => item.text)
      .join('');
  return new Promise((resolve, reject) => {
    const stop = subscribe((event) => {
      const end = (error?: { code: string }) => {
        stop();
        resolve({ text: text(), ends: 1, ...(error === undefined ? {} : { error: error.code }) });
      };
      const item = event.item as SeenItem;
      switch (event.type) {
        case 'input.delivered':
          if (event.inputId === inputId) runId = event.runId;
          break;
        case 'item.started':
        case 'item.completed':
          items.set(item.itemId, { ...item });
          break;
        case 'item.delta': {
          const shown = items.get(event.itemId as string);
          if (shown !== undefined) shown.text = shown.text.slice(0, event.offset as number) + event.text;
          break;
        }
        case 'item.discarded':
          items.delete(event.itemId as string);
          break;
        case 'stream.reset':
          wasReset = true;
          items.clear();
          for (const each of event.items as SeenItem[]) {
            items.set(each.itemId, { ...each });
            if (each.inputId === inputId) runId = each.runId;
          }
          break;
        case 'stream.synced':
          if (wasReset && runId !== undefined && event.runId !== runId) end();
          break;
        case 'run.finished':
          if (event.runId === runId) end(event.error as { code: string } | undefined);
      }
    }, reject);
  });
}

function codeOf(error: unknown): string {
  return (error as { data?: { code?: string } }).data?.code ?? String(error);
}

function trpcDoor(
  name: string,
  connect: (stack: Stack) => { trpc: ReturnType<typeof createTRPCClient<GatewayRouter>>; close(): void },
): Door {
  return {
    name,
    async ask(stack, sessionId, content, model) {
      const { trpc, close } = connect(stack);
      const inputId = `in-${Math.random()}`;
      try {
        const { eventId } = await trpc.input.send.mutate({
          sessionId,
          inputId,
          content: content as string,
          model,
          createSession: true,
        });
        return await collect((onEvent, onError) => {
          const subscription = trpc.session.events.subscribe(
            { sessionId, lastEventId: eventId },
            { onData: ({ data }) => onEvent(data as never), onError },
          );
          return () => subscription.unsubscribe();
        }, inputId);
      } catch (error) {
        return { text: '', ends: 1, error: codeOf(error) };
      } finally {
        close();
      }
    },
  };
}

const trpcOverWebSocket = trpcDoor('tRPC over WebSocket', (stack) => {
  const client = createWSClient({
    url: `${stack.gateway.url.replace('http', 'ws')}/trpc`,
    WebSocket: WebSocket as never,
    connectionParams: { token: keys.gateway },
  });
  return {
    trpc: createTRPCClient<GatewayRouter>({ links: [wsLink({ client, transformer })] }),
    close: () => client.close(),
  };
});

/** EventSource over fetch: Node has none, and tRPC's link only needs this much of it. */
class FetchEventSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;
  readyState = 0;
  readonly #abort = new AbortController();
  constructor(url: string | URL) {
    super();
    this.#read(String(url));
  }
  async #read(url: string) {
    try {
      const response = await fetch(url, { headers, signal: this.#abort.signal });
      this.readyState = 1;
      this.dispatchEvent(new Event('open'));
      for await (const message of readSse(response)) {
        this.dispatchEvent(
          new MessageEvent(message.event ?? 'message', { data: message.data, lastEventId: message.id ?? '' }),
        );
      }
    } catch {
      this.readyState = 2;
      this.dispatchEvent(new Event('error'));
    }
  }
  close() {
    this.readyState = 2;
    this.#abort.abort();
  }
}

const trpcOverHttp = trpcDoor('tRPC over HTTP', (stack) => {
  const url = `${stack.gateway.url}/trpc`;
  return {
    trpc: createTRPCClient<GatewayRouter>({
      links: [
        splitLink({
          condition: ({ type }) => type === 'subscription',
          true: httpSubscriptionLink({ url, transformer, EventSource: FetchEventSource as never }),
          false: httpLink({ url, transformer, headers }),
        }),
      ],
    }),
    close: () => {},
  };
});

const restAndSse: Door = {
  name: 'REST and SSE',
  async ask(stack, sessionId, content, model) {
    const base = `${stack.gateway.url}/api/v1/sessions/${encodeURIComponent(sessionId)}`;
    const inputId = `in-${Math.random()}`;
    const sent = await fetch(`${base}/inputs`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ inputId, content, model, createSession: true }),
    });
    const body = (await sent.json()) as { eventId: string; error?: { code: string } };
    if (!sent.ok) return { text: '', ends: 1, error: body.error?.code ?? 'no code' };
    const gone = new AbortController();
    const events = await fetch(`${base}/events`, {
      headers: { ...headers, 'last-event-id': body.eventId },
      signal: gone.signal,
    });
    return collect((onEvent, onError) => {
      const read = async () => {
        for await (const { data } of readSse(events)) onEvent(JSON.parse(data));
      };
      read().catch((error) => (gone.signal.aborted ? undefined : onError(error)));
      return () => gone.abort();
    }, inputId);
  },
};

interface SseText {
  event?: string;
  id?: string;
  data: string;
}

export async function* readSse(response: Response): AsyncGenerator<SseText> {
  let rest = '';
  for await (const part of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
    rest += part;
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const message: SseText = { data: '' };
      for (const line of block.split('\n')) {
        const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
        if (field === 'data') message.data = value ?? '';
        if (field === 'event') message.event = value ?? '';
        if (field === 'id') message.id = value ?? '';
      }
      if (message.data !== '' || message.event !== undefined) yield message;
    }
  }
}

type Frame = { token?: string; is_final?: boolean; type?: string; code?: string };

/** Frames of the older wires, as an answer. */
function toAnswer(frames: Frame[]): Answer {
  const error = frames.find(({ type }) => type === 'error')?.code;
  return {
    text: frames.map(({ token }) => token ?? '').join(''),
    ends: frames.filter(({ type, is_final }) => type === 'error' || is_final).length,
    ...(error === undefined ? {} : { error }),
  };
}

async function readFrames(response: Response): Promise<Answer> {
  if (!response.ok) {
    const body = (await response.json()) as { error: { code: string } };
    return { text: '', ends: 1, error: body.error.code };
  }
  const lines: string[] = [];
  for await (const { data } of readSse(response)) lines.push(data);
  if (lines.pop() !== '[DONE]' || lines.includes('[DONE]')) throw new Error('the stream must end with one [DONE]');
  return toAnswer(lines.map((line) => JSON.parse(line)));
}

const rawWebSocket: Door = {
  name: 'raw WebSocket',
  async ask(stack, sessionId, content) {
    const socket = new WebSocket(`${stack.gateway.url.replace('http', 'ws')}/ws/${encodeURIComponent(sessionId)}`, {
      headers,
    });
    const frames: Frame[] = [];
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => socket.send(JSON.stringify({ type: 'user_message', content })));
      socket.on('message', (data) => {
        const frame = JSON.parse(String(data)) as Frame;
        frames.push(frame);
        if (!frame.is_final && frame.type !== 'error') return;
        socket.close();
        resolve(toAnswer(frames));
      });
    });
  },
};

const oldSse = (field: object): Door => ({
  name: `POST /agent/message/stream with ${JSON.stringify(field)}`,
  async ask(stack, sessionId, content) {
    return readFrames(
      await fetch(`${stack.runtime.url}/agent/message/stream`, {
        method: 'POST',
        headers: { ...headers, 'x-internal-auth': keys.runtime },
        body: JSON.stringify({ session_id: sessionId, ...field, content }),
      }),
    );
  },
});

const oneMessage = (stream: boolean): Door => ({
  name: `POST /api/v1/message${stream ? ' with stream' : ''}`,
  async ask(stack, sessionId, message) {
    const response = await fetch(`${stack.gateway.url}/api/v1/message`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ session_id: sessionId, message, stream }),
    });
    if (stream || !response.ok) return readFrames(response);
    return { text: ((await response.json()) as { message: string }).message, ends: 1 };
  },
});

const sdkFinished: Door = {
  name: "the SDK's finished()",
  async ask(stack, sessionId, content, model) {
    const session = await sdkSession(stack, sessionId);
    const options = model === undefined ? {} : { model };
    return session
      .send(content as string, options)
      .finished()
      .then(({ text }) => ({ text, ends: 1 }), toFailure(''));
  },
};

const sdkTextStream: Door = {
  name: "the SDK's textStream",
  async ask(stack, sessionId, content, model) {
    const session = await sdkSession(stack, sessionId);
    let text = '';
    try {
      for await (const token of session.send(content as string, model === undefined ? {} : { model }).textStream)
        text += token;
      return { text, ends: 1 };
    } catch (error) {
      return toFailure(text)(error as CodelabError);
    }
  },
};

const toFailure = (text: string) => (error: CodelabError) => ({ text, ends: 1, error: error.code });

async function sdkSession(stack: Stack, sessionId: string): Promise<Session> {
  return stack.client().sessions.create({ sessionId });
}

/** Its answer comes whole, after as long as it takes. */
const mcp: Door = {
  name: 'MCP',
  async ask(stack, sessionId, content) {
    const client = new McpClient({ name: 'test', version: '1' });
    const url = new URL(`${stack.runtime.url}/mcp`);
    await client.connect(
      new StreamableHTTPClientTransport(url, {
        requestInit: { headers: { 'x-internal-auth': keys.runtime } },
      }),
    );
    try {
      await stack.client().sessions.create({ sessionId });
      const called = await client.callTool({
        name: 'send_message',
        arguments: { session_id: sessionId, message: content },
      });
      const [{ text }] = called.content as unknown as [{ text: string }];
      return called.isError
        ? { text: '', ends: 1, error: text.split(':')[0] ?? '' }
        : { text: (JSON.parse(text) as { answer: string }).answer, ends: 1 };
    } finally {
      await client.close();
    }
  },
};

/** Those that stand on gateway: an agent-runtime that restarts is nothing that their readers see. */
export const gatewayStreams: Door[] = [rawWebSocket, oneMessage(true), sdkTextStream];
export const gatewayReaders: Door[] = [trpcOverWebSocket, trpcOverHttp, restAndSse, oneMessage(false), sdkFinished];
/** Those of agent-runtime itself. */
export const runtimeStreams: Door[] = [oldSse({ type: 'user_message' }), oldSse({ role: 'user' })];
export const runtimeReaders: Door[] = [mcp];

/** Those that let a message choose its model. */
export const fullDoors: Door[] = [trpcOverWebSocket, trpcOverHttp, restAndSse];
export const doors: Door[] = [
  ...fullDoors,
  rawWebSocket,
  oldSse({ type: 'user_message' }),
  oldSse({ role: 'user' }),
  oneMessage(false),
  oneMessage(true),
];
