import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that the provider has got, answered by whoever holds it. */
export interface ProviderCall {
  path: string;
  headers: IncomingMessage['headers'];
  // biome-ignore lint/suspicious/noExplicitAny: the body is whatever was sent; tests look into it
  body: any;
  /** The body as it came. */
  bytes: string;
  response: ServerResponse;
  /** Resolves when the caller has hung up before the answer was complete. */
  aborted: Promise<void>;
  /** Sends the head of a stream. */
  open(): void;
  /** Sends one delta with this text, and resolves when it is on its way. */
  text(content: string): Promise<void>;
  /** Sends as many deltas, each with this text, in one packet. */
  texts(content: string, times: number): Promise<void>;
  /** Sends whole tool calls, in one chunk each. Text as arguments goes out as it is. */
  tools(...calls: Array<{ name: string; args: object | string }>): Promise<void>;
  /** Sends one chunk with this delta. */
  delta(delta: object): Promise<void>;
  /** Sends one event of Anthropic's wire. */
  event(type: string, fields?: object): Promise<void>;
  /** Sends bytes as they are, in one packet. */
  raw(bytes: Uint8Array | string): Promise<void>;
  /** Sends a whole answer, in place of a stream. */
  json(answer: object, status?: number): void;
  /** Ends the stream as a provider does. */
  finish(reason?: string): Promise<void>;
}

export interface FakeProvider {
  /** With the `/v1`. */
  url: string;
  calls: ProviderCall[];
  /** Resolves with the next call that has not been taken. */
  next(): Promise<ProviderCall>;
  close(): Promise<void>;
}

/** A real HTTP server that speaks OpenAI's wire, and Anthropic's. With `answer`, it answers each completion by itself. */
export async function startFakeProvider(answer?: (call: ProviderCall) => Promise<void> | void): Promise<FakeProvider> {
  const calls: ProviderCall[] = [];
  const untaken: ProviderCall[] = [];
  const waiting: Array<(call: ProviderCall) => void> = [];
  const server = createServer(async (request, response) => {
    if (/\/models(\?|$)/.test(request.url ?? '')) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ object: 'list', data: [{ id: 'fake-1', object: 'model' }] }));
      return;
    }
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const call = toCall(request, response, Buffer.concat(parts).toString('utf8'));
    calls.push(call);
    if (answer !== undefined) await answer(call);
    else {
      const taker = waiting.shift();
      if (taker === undefined) untaken.push(call);
      else taker(call);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls,
    next: () => {
      const call = untaken.shift();
      return call === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(call);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function toCall(request: IncomingMessage, response: ServerResponse, bytes: string): ProviderCall {
  const aborted = new Promise<void>((resolve) => {
    response.once('close', () => {
      if (!response.writableFinished) resolve();
    });
  });
  response.on('error', () => {});
  const raw = (bytes: Uint8Array | string) =>
    new Promise<void>((resolve) => {
      response.write(bytes, () => resolve());
    });
  const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'fake-1' };
  const toEvent = (delta: object, finishReason: string | null = null) =>
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason: finishReason }] })}\n\n`;
  const chunk = (delta: object, finishReason: string | null = null) => raw(toEvent(delta, finishReason));
  const open = () => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  };
  return {
    path: request.url ?? '',
    headers: request.headers,
    body: JSON.parse(bytes),
    bytes,
    response,
    aborted,
    open,
    raw: (bytes) => {
      open();
      return raw(bytes);
    },
    text(content) {
      open();
      return chunk({ content });
    },
    texts(content, times) {
      open();
      return raw(toEvent({ content }).repeat(times));
    },
    event(type, fields = {}) {
      open();
      return raw(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`);
    },
    async tools(...calls) {
      open();
      for (const [index, { name, args }] of calls.entries()) {
        const text = typeof args === 'string' ? args : JSON.stringify(args);
        const call = { index, id: `call_${index}`, type: 'function', function: { name, arguments: text } };
        await chunk({ tool_calls: [call] });
      }
    },
    delta(delta) {
      open();
      return chunk(delta);
    },
    json(answer, status = 200) {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer));
    },
    async finish(reason = 'stop') {
      open();
      await chunk({}, reason);
      const usage = { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 };
      await raw(`data: ${JSON.stringify({ ...head, choices: [], usage })}\n\n`);
      await raw('data: [DONE]\n\n');
      response.end();
    },
  };
}

/** What was said, without the agent's own instructions. */
export function conversationOf(call: ProviderCall): Array<Record<string, unknown>> {
  return call.body.messages.filter(({ role }: { role: string }) => role !== 'system');
}
