import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { createPeerSocket, type PeerCall, type PeerSocket } from './peer-socket.ts';

interface Asked {
  id: number;
  method: string;
  params?: { path: string; input: unknown; lastEventId?: string };
}

let server: WebSocketServer;
let peer: PeerSocket;
const lost = vi.fn();
/** What the server got, and the socket that it came by. */
let asked: Asked[];
let socket: WebSocket;
let connections: number;
let frames: number;

const listen = async (port = 0) => {
  server = new WebSocketServer({ port, host: '127.0.0.1' });
  await once(server, 'listening');
  server.on('connection', (opened) => {
    connections++;
    socket = opened;
    opened.on('message', (text) => {
      frames++;
      asked.push(...[JSON.parse(String(text))].flat());
    });
  });
  return (server.address() as AddressInfo).port;
};
const cut = () => {
  for (const each of server.clients) each.terminate();
};
beforeEach(async () => {
  asked = [];
  connections = 0;
  frames = 0;
  lost.mockClear();
  const port = await listen();
  peer = createPeerSocket({ url: `ws://127.0.0.1:${port}/trpc`, headers: {}, onOpen() {}, onLost: lost });
});
afterEach(() => {
  peer.close();
  cut();
  server.close();
});

const begin = (fields: Partial<PeerCall> = {}) => {
  const told = { messages: [] as unknown[], broken: vi.fn(), reachable: [] as boolean[] };
  const end = peer.begin({
    method: 'subscription',
    path: 'some.events',
    input: { at: new Date(0) },
    onMessage: (message) => void told.messages.push(message),
    onBroken: told.broken,
    onReachable: (isReachable) => void told.reachable.push(isReachable),
    ...fields,
  });
  return { ...told, end };
};
const withTails = () => {
  const tails: string[] = [];
  return { ...begin({ onTail: (tail) => void tails.push(tail) }), tails };
};
const heard = (count: number) => vi.waitFor(() => expect(asked).toHaveLength(count));
const say = (id: number, result: object) => socket.send(JSON.stringify({ id, result }));
const data = (id: string) => ({ type: 'data', id, data: { json: { id, data: 'x' } } });

it('opens with the first call, and sends the others by the same socket at once', async () => {
  begin();
  await heard(1);
  expect(asked[0]).toEqual({
    id: 1,
    method: 'subscription',
    params: { path: 'some.events', input: { json: { at: '1970-01-01T00:00:00.000Z' }, meta: expect.anything() } },
  });
  begin({ method: 'query', path: 'a."b"', input: undefined });
  await heard(2);
  expect(asked[1]).toMatchObject({ id: 2, method: 'query', params: { path: 'a."b"' } });
  expect(connections).toBe(1);
});

it('gives messages with data as text where that is wanted, and all others parsed', async () => {
  const { tails, messages } = withTails();
  await heard(1);
  say(1, { type: 'started' });
  say(1, data('p"1'));
  say(1, { type: 'stopped' });
  say(1, data('late'));
  await vi.waitFor(() => expect(messages).toHaveLength(2));
  expect(tails).toEqual([JSON.stringify({ result: data('p"1') }).slice(1)]);
  expect(messages).toMatchObject([{ result: { type: 'started' } }, { result: { type: 'stopped' } }]);
});

it.each(['as text', 'parsed'])('begins a subscription again where its last message was: %s', async (how) => {
  const { reachable } = how === 'parsed' ? begin() : withTails();
  await heard(1);
  say(1, data('1'));
  say(1, data('näxt "2"'));
  await vi.waitFor(() => expect(reachable).toEqual([false, true]));
  await new Promise((resolve) => socket.ping(undefined, undefined, resolve));
  await once(socket, 'pong');
  cut();
  await heard(2);
  expect(asked[1]).toMatchObject({ id: 1, method: 'subscription', params: { lastEventId: 'näxt "2"' } });
  expect(reachable).toEqual([false, true, false, true]);
  expect(lost).toHaveBeenCalledTimes(1);
});

it('a query that was sent breaks with the socket; one that was not is sent by the next', async () => {
  const first = begin({ method: 'query' });
  await heard(1);
  cut();
  await vi.waitFor(() => expect(first.broken).toHaveBeenCalledTimes(1));
  const second = begin({ method: 'mutation' });
  await heard(2);
  say(2, { type: 'data', data: { json: 'done' } });
  await vi.waitFor(() => expect(second.messages).toMatchObject([{ result: { type: 'data', data: { json: 'done' } } }]));
  expect(first.messages).toEqual([]);
  expect(second.broken).not.toHaveBeenCalled();
});

it('begins thousands again in a few messages, none of them large', async () => {
  const input = 'x'.repeat(1_000);
  for (let call = 0; call < 2_000; call++) begin({ input });
  await vi.waitFor(() => expect(asked).toHaveLength(2_000), 5_000);
  cut();
  await vi.waitFor(() => expect(asked).toHaveLength(4_000), 5_000);
  expect(asked.slice(2_000).map(({ id }) => id)).toEqual(Array.from({ length: 2_000 }, (_, index) => index + 1));
  expect(frames).toBeLessThan(40);
});

it('comes back to a peer that was away for a while', async () => {
  const { reachable } = begin();
  await heard(1);
  const { port } = server.address() as AddressInfo;
  cut();
  await new Promise((resolve) => server.close(resolve));
  await vi.waitFor(() => expect(lost.mock.calls.length).toBeGreaterThan(2), 3_000);
  await listen(port);
  await vi.waitFor(() => expect(asked).toHaveLength(2), 3_000);
  expect(reachable).toEqual([false, true, ...lost.mock.calls.map(() => false), true]);
});

it('says that a subscription was left, and nothing of one that has ended', async () => {
  const one = begin();
  const two = begin();
  await heard(2);
  one.end();
  await heard(3);
  expect(asked[2]).toEqual({ id: 1, method: 'subscription.stop' });
  say(2, { type: 'stopped' });
  await vi.waitFor(() => expect(two.messages).toHaveLength(1));
  two.end();
  begin();
  await heard(4);
  expect(asked[3]).toMatchObject({ id: 3, method: 'subscription' });
});

it('an error is the end of a call', async () => {
  const { messages, end } = withTails();
  await heard(1);
  socket.send(JSON.stringify({ id: 1, error: { json: { message: 'no' } } }));
  socket.send(JSON.stringify({ id: 1, result: { type: 'stopped' } }));
  await vi.waitFor(() => expect(messages).toEqual([{ id: 1, error: { json: { message: 'no' } } }]));
  end();
  cut();
  begin();
  await heard(2);
  expect(asked[1]).toMatchObject({ id: 2 });
});

it.each(['{"id":1,"result":', '{"id":1,hello', '{"id":1,"what":2}'])(
  'hangs up on a peer that says %s, and begins anew',
  async (text) => {
    begin();
    await heard(1);
    socket.send(text);
    await heard(2);
    expect(connections).toBe(2);
  },
);

it('when it is closed, subscriptions end, and calls break', async () => {
  const subscription = begin();
  const query = begin({ method: 'query' });
  await heard(2);
  peer.close();
  expect(subscription.messages).toEqual([{ result: { type: 'stopped' } }]);
  expect(query.broken).toHaveBeenCalledTimes(1);
  await vi.waitFor(() => expect(server.clients.size).toBe(0));
  const late = [begin(), begin({ method: 'mutation' })];
  await vi.waitFor(() => expect(late[0]?.messages).toEqual([{ result: { type: 'stopped' } }]));
  expect(late[1]?.broken).toHaveBeenCalledTimes(1);
  expect(connections).toBe(1);
});
