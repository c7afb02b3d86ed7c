import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createLogger } from '../logger.ts';
import { createRpcClient } from './rpc-client.ts';

let close = () => {};
afterEach(() => {
  close();
  vi.restoreAllMocks();
});

it('sends a call and a subscription at once, where the socket is open', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket) => {
    socket.on('message', (message) => {
      const calls = [JSON.parse(String(message))].flat();
      for (const { id } of calls)
        socket.send(JSON.stringify({ id, result: { type: 'data', data: { json: 'answer' } } }));
    });
  });
  const rpc = createRpcClient({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    key: 'k',
    name: 'other',
    variable: 'URL',
    log: createLogger({ service: 'test', level: 'silent' }),
  });
  close = () => {
    rpc.close();
    server.close();
    for (const socket of server.clients) socket.terminate();
  };
  // biome-ignore lint/suspicious/noExplicitAny: this router has no types
  const call = () => rpc.call((trpc: any, options) => trpc.some.thing.query({}, options));
  expect(await call()).toBe('answer');

  const send = vi.spyOn(WebSocket.prototype, 'send');
  const asked = () => send.mock.calls.filter(([text]) => String(text).includes('"some.')).length;
  const answer = call();
  expect(asked()).toBe(1);
  expect(await answer).toBe('answer');
  const stream = rpc.stream<string>(
    // biome-ignore lint/suspicious/noExplicitAny: this router has no types
    (trpc: any, observer) => trpc.some.stream.subscribe({}, observer),
    { signal: undefined, size: () => 1, lostAfterMs: 1000, onOverflow: () => new Error('overflow') },
  );
  const first = stream.next();
  expect(asked()).toBe(2);
  expect((await first).value).toBe('answer');
  await stream.return();
  // Each once: tRPC's own timer, which comes before this one, finds nothing left.
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(asked()).toBe(2);
});
