import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '@codelab/service-kit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { plainNames as names } from '../../../../tests/support/provider-names.ts';
import type { Caller } from '../access/virtual-keys.ts';
import { createHttpClient, type HttpClient } from '../http-client/http-client.ts';
import { CancelToken } from '../lib/cancel-token.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { createHttpProvider } from '../providers/http-provider.ts';
import type { HttpProvider } from '../providers/provider.ts';
import { openAiPassthroughRules } from '../wire/openai/passthrough-rules.ts';
import { createPassthrough } from '../wire/passthrough.ts';
import { type Attempt, type Deliver, jsonAttempt, streamAttempt } from './attempt.ts';
import { createBreakers } from './circuit-breaker.ts';
import { createResponseCache } from './response-cache.ts';
import { streamCompletion } from './stream-completion.ts';

// Canaries of the tricks in wire/README.md that a whole completion is needed for.

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} } as unknown as Logger;
const caller: Caller = { name: 'team', mayUse: () => true, admit: async () => undefined };
const event = (content: string) =>
  `data: {"id":"a","choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n\n`;
const lastEvents = 'data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
const request = { model: 'm', body: '{"model":"m"}', endpoint: 'chat/completions' as const, inputTokens: () => 1 };

let server: Server;
let httpClient: HttpClient;
let provider: HttpProvider;
let answer: (response: ServerResponse) => void;
beforeEach(async () => {
  server = createServer((incoming, response) => incoming.resume().on('end', () => answer(response)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  httpClient = createHttpClient({ connectTimeoutMs: 10_000 });
  const { port } = server.address() as AddressInfo;
  provider = createHttpProvider({
    id: 'one',
    names,
    wire: 'openai',
    baseUrl: `http://127.0.0.1:${port}/v1`,
    headers: {},
    httpClient,
  });
});
afterEach(async () => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  await httpClient.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function complete(open: () => Attempt<Buffer | string>, deliver: Deliver<Buffer | string>, clock: Clock = systemClock) {
  return streamCompletion(
    { model: 'one/m', caller, open, signal: new CancelToken(), requestId: 'r' },
    {
      models: {
        list: async () => ({ models: [], defaultModel: 'm' }),
        resolve: async () => ({ routes: [{ provider, model: 'm' }], hedgeAfterMs: undefined }),
      },
      limits: { maxRetries: 0, firstTokenMs: 10_000, idleMs: 10_000, totalMs: 10_000 },
      breakers: createBreakers({ failures: 0, cooldownMs: 1, now: clock.now, log }),
      costOf: () => undefined,
      cache: createResponseCache(undefined),
      report: () => {},
      beginCompletion: () => () => {},
      clock,
      log,
    },
    deliver,
  );
}
const openStream = () =>
  streamAttempt(
    { provider, ...request },
    createPassthrough(openAiPassthroughRules({ hidesUsage: false, choices: 1, opened: new Set() }), names),
  );
const streamOf = (packets: string[]) => (response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const [first, ...others] = packets;
  if (first === undefined) return response.end(lastEvents);
  response.write(first, () => setImmediate(streamRest, response, others));
};
/** Writes a packet a turn, so that they come one by one. */
function streamRest(response: ServerResponse, [next, ...others]: string[]): void {
  if (next === undefined) response.end(lastEvents);
  else response.write(next, () => setImmediate(streamRest, response, others));
}

it('cancel token, dispatch: a completion, streamed or not, makes no AbortController and calls no fetch', async () => {
  const made: string[] = [];
  vi.stubGlobal(
    'AbortController',
    class extends AbortController {
      constructor() {
        super();
        made.push('AbortController');
      }
    },
  );
  for (const way of ['any', 'timeout'] as const)
    vi.spyOn(AbortSignal, way).mockImplementation(() => {
      throw new Error(`AbortSignal.${way} was called`);
    });
  vi.stubGlobal('fetch', () => made.push('fetch'));
  let text = '';
  const deliver = (part: Buffer | string) => {
    text += part.toString();
    return undefined;
  };
  answer = streamOf([event('Hello'), event(' you')]);
  await complete(openStream, deliver);
  expect(text).toBe(event('Hello') + event(' you') + lastEvents);

  text = '';
  answer = (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[]}');
  await complete(
    () => jsonAttempt({ provider, ...request }, { isAnswer: () => true, usage: () => undefined }),
    deliver,
  );
  expect(text).toBe('{"choices":[]}');
  expect(made).toEqual([]);
});

it('push: a packet is delivered in the same call that brings it, with no promise in between', async () => {
  const packets = [event('Hello'), event(' you'), event(' there')];
  const deliveredInCall: boolean[] = [];
  const verdicts: unknown[] = [];
  let isInCall = false;
  const post: HttpProvider['post'] = async () => ({
    status: 200,
    headers: {},
    read: async () => Buffer.alloc(0),
    async each(handler) {
      for (const text of [...packets, lastEvents]) {
        isInCall = true;
        verdicts.push(handler(Buffer.from(text)));
        isInCall = false;
      }
    },
  });
  const attempt = streamAttempt(
    { provider: { ...provider, post }, ...request },
    createPassthrough(openAiPassthroughRules({ hidesUsage: false, choices: 1, opened: new Set() }), names),
  );
  await attempt.run({
    cancel: new CancelToken(),
    onActivity: () => {},
    deliver() {
      deliveredInCall.push(isInCall);
      return undefined;
    },
  });
  expect(deliveredInCall).toEqual([true, true, true, true]);
  expect(verdicts).toEqual([undefined, undefined, undefined, 'enough']);
});

it('polled idle timeout: the number of timers does not grow with the packets', async () => {
  const timersFor = async (packets: number) => {
    let timers = 0;
    const clock: Clock = {
      now: Date.now,
      after: (ms, callback) => {
        timers++;
        return systemClock.after(ms, callback);
      },
      every: (ms, callback) => {
        timers++;
        return systemClock.every(ms, callback);
      },
    };
    answer = streamOf(Array.from({ length: packets }, () => event('x')));
    let parts = 0;
    await complete(
      openStream,
      () => {
        parts++;
        return undefined;
      },
      clock,
    );
    return { timers, parts };
  };
  const few = await timersFor(1);
  const many = await timersFor(50);
  expect(many.parts).toBeGreaterThan(few.parts);
  expect(many.timers).toBe(few.timers);
});
