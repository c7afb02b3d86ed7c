import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { transformer } from '@codelab/protocol';
import { initTRPC } from '@trpc/server';
import { getWSConnectionHandler } from '@trpc/server/adapters/ws';
import { expect, it, vi } from 'vitest';
import type { WebSocket, WebSocketServer } from 'ws';
import { corkWrites } from './cork-writes.ts';
import { interceptMessages } from './intercept-messages.ts';

// tRPC's own adapter, with nothing of ours but the patch: each fails when tRPC's insides are no longer what the patch takes them for.

const t = initTRPC.create({ transformer });
const CALLS = 100;
const router = t.router({ hello: t.procedure.query(() => 'hello') });

function connect(patch: (socket: WebSocket) => void) {
  const sent: string[] = [];
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1,
    readyState: 1,
    send: (text: string) => void sent.push(text),
    close: () => {},
    terminate: () => {},
  });
  patch(socket as unknown as WebSocket);
  getWSConnectionHandler({ wss: new EventEmitter() as unknown as WebSocketServer, router })(
    socket as unknown as WebSocket,
    { url: '/trpc', headers: {} } as IncomingMessage,
  );
  const ask = (method: string, path: string) =>
    socket.emit('message', Buffer.from(JSON.stringify({ id: 1, method, params: { path } })), false);
  return { sent, ask };
}

it('intercept-messages: the adapter gets its messages by socket.on', async () => {
  const take = vi.fn();
  const { sent, ask } = connect((socket) => interceptMessages(socket, take));
  ask('query', 'hello');
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(take).toHaveBeenCalledTimes(1);
  expect(sent).toEqual([]);
  const [data, isBinary, pass] = take.mock.calls[0] ?? [];
  pass(data, isBinary);
  await vi.waitFor(() => expect(sent.join()).toContain('hello'));
});

it('cork-writes: the adapter sends each answer by socket.send', async () => {
  const raw = { cork: vi.fn(), uncork: vi.fn() };
  const { sent, ask } = connect((socket) => corkWrites(socket, raw as unknown as Duplex));
  for (let call = 0; call < CALLS; call++) ask('query', 'hello');
  await vi.waitFor(() => expect(sent).toHaveLength(CALLS));
  await vi.waitFor(() => expect(raw.uncork.mock.calls.length).toBe(raw.cork.mock.calls.length));
  expect(raw.cork.mock.calls.length).toBeGreaterThan(0);
  expect(raw.cork.mock.calls.length).toBeLessThan(CALLS / 2);
});

it('transformer: the adapter writes what our serialize gives it, and adds nothing', async () => {
  const { sent, ask } = connect(() => {});
  ask('query', 'hello');
  await vi.waitFor(() => expect(sent).toHaveLength(1));
  expect(JSON.parse(sent[0] as string)).toEqual({ id: 1, result: { type: 'data', data: { json: 'hello' } } });
});
