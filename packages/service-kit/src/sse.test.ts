import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { type EventStreamOptions, type SseMessage, sendEventStream } from './sse.ts';

let close = () => {};
afterEach(() => close());

/** Serves these messages once; resolves with the answer and what `sendEventStream` threw. */
async function serveOnce(messages: () => AsyncIterable<SseMessage>, options?: EventStreamOptions) {
  let thrown: unknown;
  const server = createServer((_request, response) => {
    sendEventStream(response, messages(), options).catch((error) => {
      thrown = error;
      response.writeHead(418).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close = () => server.closeAllConnections();
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return { response, thrown: () => thrown };
}

it('writes ids, events and data, and ends', async () => {
  const { response } = await serveOnce(async function* () {
    yield { id: 'a-1', event: 'x.y', data: { text: 'при\nвет' } };
    yield { data: '[DONE]' };
  });
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(await response.text()).toBe('event: x.y\nid: a-1\ndata: {"text":"при\\nвет"}\n\ndata: [DONE]\n\n');
});

it('leaves the status to whoever called where the first message fails', async () => {
  const { response, thrown } = await serveOnce(async function* () {
    yield* [];
    throw new Error('no such thing');
  });
  expect(response.status).toBe(418);
  expect(thrown()).toMatchObject({ message: 'no such thing' });
});

it('sends the head when the first message is long in coming, and then a failure as the last message', async () => {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { response } = await serveOnce(
    async function* () {
      await gate;
      yield* [];
      throw new Error('too late for a status');
    },
    { headAfterMs: 1, onFailure: (error) => ({ event: 'error', data: { said: (error as Error).message } }) },
  );
  // Here already, with nothing said yet.
  expect(response.status).toBe(200);
  go();
  expect(await response.text()).toBe('event: error\ndata: {"said":"too late for a status"}\n\n');
});

it('stops its source when the client goes away', async () => {
  let stopped = () => {};
  const gone = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  const { response } = await serveOnce(async function* () {
    try {
      for (;;) {
        yield { data: 'x'.repeat(10_000) };
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      stopped();
    }
  });
  await response.body?.cancel();
  await gone;
});
