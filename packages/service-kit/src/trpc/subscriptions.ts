import { transformer } from '@codelab/protocol';
import {
  type AnyTRPCRouter,
  callTRPCProcedure,
  getTRPCErrorFromUnknown,
  getTRPCErrorShape,
  isTrackedEnvelope,
  TRPCError,
} from '@trpc/server';
import type { WebSocket } from 'ws';
import type { ServiceContext } from './procedure.ts';
import { type MessageSink, pushOf, toTail, toUntrackedTail } from './pushable.ts';
import type { Call, CallId } from './trpc-frames.ts';

/**
 * Serves the subscriptions of one socket in place of tRPC's adapter. The adapter's pump (a race of promises, an envelope and a walk over the
 * event for each message) costs more than all else that is done for a token. The procedure is called as the adapter does it, and what is
 * sent means the same: subscriptions.test.ts compares the two.
 */
export interface Subscriptions {
  /** Begins a subscription, or stops one. Returns false for another call. */
  take(call: Call): boolean;
}

export function createSubscriptions(router: AnyTRPCRouter, socket: WebSocket, ctx: ServiceContext): Subscriptions {
  const { _config: config } = router._def;
  const open = new Map<CallId, AbortController>();
  socket.once('close', () => {
    for (const abort of open.values()) abort.abort();
  });

  const tell = (send: Send, thrown: unknown, call: Call) => {
    const error = getTRPCErrorFromUnknown(thrown);
    const shape = getTRPCErrorShape({ config, error, ctx, type, path: call.params.path, input: inputOf(call) });
    send(`"error":${JSON.stringify(transformer.serialize(shape))}}`);
  };

  /** Sends the messages of one subscription until it ends, fails, or is stopped. Whoever stopped it is told no more than that. */
  const serve = async (call: Call, send: Send, signal: AbortSignal): Promise<void> => {
    const { path } = call.params;
    let hasStarted = false;
    try {
      const getRawInput = async () => inputOf(call);
      const source: unknown = await callTRPCProcedure({ router, path, getRawInput, ctx, type, signal, batchIndex: 0 });
      if (!isSource(source))
        throw new TRPCError({ code: 'INTERNAL_SERVER_ERROR', message: `Subscription ${path} has no events` });
      if (!signal.aborted) {
        hasStarted = true;
        send('"result":{"type":"started"}}');
        const push = pushOf(source);
        await (push === undefined ? pull(source, send, signal) : push(createSink(ctx, send, signal)));
      } else await source[Symbol.asyncIterator]().return?.();
    } catch (thrown) {
      if (!signal.aborted) {
        tell(send, thrown, call);
        if (!hasStarted) return;
      }
    }
    send('"result":{"type":"stopped"}}');
  };

  const begin = (call: Call) => {
    const { id, jsonrpc } = call;
    const head = `{"id":${JSON.stringify(id)},${jsonrpc === undefined ? '' : '"jsonrpc":"2.0",'}`;
    const send: Send = (tail) => {
      if (socket.readyState === socket.OPEN) socket.send(head + tail);
    };
    if (open.has(id)) {
      tell(send, new TRPCError({ code: 'BAD_REQUEST', message: `Duplicate id ${id}` }), call);
      return;
    }
    const abort = new AbortController();
    open.set(id, abort);
    void serve(call, send, abort.signal).finally(() => open.delete(id));
  };

  return {
    take(call) {
      if (call.method === 'subscription') begin(call);
      else if (call.method === 'subscription.stop') open.get(call.id)?.abort();
      else return false;
      return true;
    },
  };
}

const type = 'subscription';

/** Sends what follows a message's id. */
type Send = (tail: string) => void;

function inputOf({ params: { input, lastEventId } }: Call): unknown {
  const given: unknown = transformer.deserialize(input as never);
  if (lastEventId === undefined) return given;
  return typeof given === 'object' && given !== null ? { ...given, lastEventId } : (given ?? { lastEventId });
}

function isSource(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

async function pull(source: AsyncIterable<unknown>, send: Send, signal: AbortSignal): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await iterator.next();
      if (done === true || signal.aborted) return;
      send(isTrackedEnvelope(value) ? toTail(value[0], value[1]) : toUntrackedTail(value));
    }
  } finally {
    await iterator.return?.();
  }
}

function createSink({ backpressure }: ServiceContext, send: Send, signal: AbortSignal): MessageSink {
  return {
    send,
    get isFull() {
      return backpressure.isFull;
    },
    drained: async () => backpressure.writable(signal),
  };
}
