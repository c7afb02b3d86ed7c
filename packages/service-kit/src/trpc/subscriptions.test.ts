import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { CodelabError, transformer } from '@codelab/protocol';
import { type AnyTRPCRouter, initTRPC, TRPCError, tracked } from '@trpc/server';
import { getWSConnectionHandler } from '@trpc/server/adapters/ws';
import { expect, it, vi } from 'vitest';
import type { WebSocket, WebSocketServer } from 'ws';
import { toCodelabError, toTrpcShape } from '../error-shape.ts';
import { noBackpressure } from './backpressure.ts';
import type { ServiceContext } from './procedure.ts';
import { type MessageSink, pushable, toTail } from './pushable.ts';
import { createSubscriptions } from './subscriptions.ts';
import type { Call } from './trpc-frames.ts';

const t = initTRPC.create({
  transformer,
  errorFormatter: ({ error }) => toTrpcShape(toCodelabError(error), 'req_1'),
});
const until = (signal: AbortSignal | undefined) =>
  new Promise<void>((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve());
  });
const disposed = vi.fn();
const router = t.router({
  three: t.procedure.subscription(async function* () {
    yield* [1, { at: new Date(0) }, undefined];
  }),
  positions: t.procedure
    .input((input) => input as { lastEventId?: string; from?: number })
    .subscription(async function* ({ input }) {
      for (let at = Number(input?.lastEventId ?? input?.from ?? 0) + 1; at <= 3; at++)
        yield tracked(String(at), { text: `“${at}”\n`, at: at === 2 ? new Date(2) : undefined });
    }),
  endless: t.procedure.subscription(async function* ({ signal }) {
    try {
      yield 'first';
      await until(signal);
    } finally {
      disposed();
    }
  }),
  failsAtOnce: t.procedure.subscription((): AsyncIterable<number> => {
    throw new CodelabError('NOT_FOUND', 'There is nothing.');
  }),
  failsLater: t.procedure.subscription(async function* () {
    yield 1;
    throw new TRPCError({ code: 'TOO_MANY_REQUESTS', message: 'enough' });
  }),
  failsWhenStopped: t.procedure.subscription(async function* ({ signal }) {
    yield 'first';
    await until(signal);
    throw new Error('too late to be heard');
  }),
  hello: t.procedure.query(() => 'hello'),
});

const context = { backpressure: noBackpressure } as unknown as ServiceContext;
type Connect = (served?: AnyTRPCRouter) => ReturnType<typeof fakeSocket> & { ask(call: object): void };

function fakeSocket() {
  const sent: unknown[] = [];
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1,
    readyState: 1,
    send: (text: string) => void sent.push(JSON.parse(text)),
    close: () => {},
  });
  return { sent, socket };
}

const adapters: Array<[string, Connect]> = [
  [
    "tRPC's adapter",
    (served = router) => {
      const { sent, socket } = fakeSocket();
      getWSConnectionHandler({ wss: new EventEmitter() as unknown as WebSocketServer, router: served })(
        socket as unknown as WebSocket,
        { url: '/trpc', headers: {} } as IncomingMessage,
      );
      return { sent, socket, ask: (call) => socket.emit('message', Buffer.from(JSON.stringify(call)), false) };
    },
  ],
  [
    'ours',
    (served = router) => {
      const { sent, socket } = fakeSocket();
      const subscriptions = createSubscriptions(served, socket as unknown as WebSocket, context);
      return { sent, socket, ask: (call) => void subscriptions.take(call as Call) };
    },
  ],
];
const subscribe = (path: string, input?: unknown, lastEventId?: string) => ({
  id: 7,
  method: 'subscription',
  params: {
    path,
    ...(input === undefined ? {} : { input: transformer.serialize(input) }),
    ...(lastEventId === undefined ? {} : { lastEventId }),
  },
});
const stop = { id: 7, method: 'subscription.stop' };
const started = { id: 7, result: { type: 'started' } };
const stopped = { id: 7, result: { type: 'stopped' } };

/** Each is a story that both tell alike: what is asked, and how many messages come before the next is asked. */
const stories: Array<[string, Array<[call: object, messages: number]>]> = [
  ['a whole one', [[subscribe('three'), 5]]],
  ['positions', [[subscribe('positions'), 5]]],
  ['an input', [[subscribe('positions', { from: 2 }), 3]]],
  ['a position to go on from', [[subscribe('positions', undefined, '1'), 4]]],
  ['a position beside an input', [[subscribe('positions', { from: 1 }, '2'), 3]]],
  ['jsonrpc', [[{ ...subscribe('three'), jsonrpc: '2.0' }, 5]]],
  ['an id of text', [[{ ...subscribe('three'), id: 'a"b' }, 5]]],
  ['a failure at once', [[subscribe('failsAtOnce'), 1]]],
  ['a failure later', [[subscribe('failsLater'), 4]]],
  ['no such procedure', [[subscribe('nothing'), 1]]],
  ['a query by that name', [[subscribe('hello'), 1]]],
  [
    'one that is stopped',
    [
      [subscribe('endless'), 2],
      [stop, 3],
    ],
  ],
  [
    'one that fails once it is stopped',
    [
      [subscribe('failsWhenStopped'), 2],
      [stop, 3],
    ],
  ],
  [
    'an id that is taken, and is free again',
    [
      [subscribe('endless'), 2],
      [subscribe('three'), 3],
      [stop, 4],
      [subscribe('three'), 9],
    ],
  ],
];

it.each(stories)('%s is told as tRPC tells it', async (_, calls) => {
  const told: unknown[][] = [];
  for (const [, connect] of adapters) {
    const { sent, ask } = connect();
    for (const [call, messages] of calls) {
      ask(call);
      await vi.waitFor(() => expect(sent.length).toBe(messages));
    }
    told.push(sent);
  }
  expect(told[1]).toEqual(told[0]);
});

it.each(adapters)('%s disposes of a source when the socket closes, and says nothing more', async (_, connect) => {
  disposed.mockClear();
  const { sent, socket, ask } = connect();
  ask(subscribe('endless'));
  await vi.waitFor(() => expect(sent).toHaveLength(2));
  socket.readyState = 3;
  socket.emit('close');
  await vi.waitFor(() => expect(disposed).toHaveBeenCalledTimes(1));
  expect(sent).toHaveLength(2);
});

const pushing = (push: (sink: MessageSink, signal: AbortSignal | undefined) => Promise<void>, pulled = () => {}) =>
  t.router({
    events: t.procedure.subscription(({ signal }) =>
      pushable(
        async function* () {
          pulled();
          yield tracked('1', 'pulled');
        },
        (sink) => push(sink, signal),
      ),
    ),
  });
const ours = (adapters[1] as (typeof adapters)[number])[1];

it('a source that can push is never pulled', async () => {
  const pulled = vi.fn();
  const { sent, ask } = ours(
    pushing(async (sink) => {
      for (const id of ['1', '2']) sink.send(toTail(id, { at: new Date(0) }));
    }, pulled),
  );
  ask(subscribe('events'));
  await vi.waitFor(() => expect(sent).toHaveLength(4));
  const data = (id: string) => transformer.serialize({ id, data: { at: new Date(0) } });
  expect(sent).toEqual([
    started,
    { id: 7, result: { type: 'data', id: '1', data: data('1') } },
    { id: 7, result: { type: 'data', id: '2', data: data('2') } },
    stopped,
  ]);
  expect(pulled).not.toHaveBeenCalled();
});

it('a push that fails is an error, and one that was stopped before is not', async () => {
  const router = pushing(async (_, signal) => {
    await until(signal);
    throw new CodelabError('OVERLOADED', 'later');
  });
  const { sent, ask } = ours(router);
  ask(subscribe('events'));
  await vi.waitFor(() => expect(sent).toEqual([started]));
  ask(stop);
  await vi.waitFor(() => expect(sent).toEqual([started, stopped]));
  const failing = ours(pushing(() => Promise.reject(new CodelabError('OVERLOADED', 'now'))));
  failing.ask(subscribe('events'));
  await vi.waitFor(() => expect(failing.sent).toHaveLength(3));
  expect(failing.sent).toEqual([
    started,
    {
      id: 7,
      error: {
        json: expect.objectContaining({ message: 'now', data: expect.objectContaining({ code: 'OVERLOADED' }) }),
      },
    },
    stopped,
  ]);
});
