import type { IncomingMessage } from 'node:http';
import { type CodelabError, newId } from '@codelab/protocol';
import type { AnyRouter } from '@trpc/server';
import { getWSConnectionHandler } from '@trpc/server/adapters/ws';
import type { RawData, WebSocket, WebSocketServer } from 'ws';
import { toTrpcShape } from '../error-shape.ts';
import { createFrameGuard, flooded } from '../frame-guard.ts';
import type { SocketLimits } from '../socket-limits.ts';
import { closeFor, refusalOfMessage } from '../socket-messages.ts';
import { interceptMessages, type PassMessage } from './intercept-messages.ts';
import type { ServiceContext } from './procedure.ts';
import { createSubscriptions } from './subscriptions.ts';
import { idsOf, sortFrame } from './trpc-frames.ts';

/** Milliseconds in which calls after the first refused one are answered too. */
const LAST_ANSWERS_MS = 100;
/** Stands for a message that has been parsed already. */
const READ = Buffer.from('{}');

export interface TrpcSockets {
  /** Serves an authorized caller. `request` names no connectionParams. */
  open(socket: WebSocket, request: IncomingMessage, context: ServiceContext, limits: SocketLimits): void;
  /** Answers each call with `error`, as soon as it is there, then closes. */
  refuse(socket: WebSocket, error: Promise<CodelabError>): void;
}

export function createTrpcSockets(router: AnyRouter, wss: WebSocketServer): TrpcSockets {
  const { transformer } = router._def._config;
  const contexts = new WeakMap<object, ServiceContext>();
  let taken: unknown;
  const connect = getWSConnectionHandler({
    wss,
    router,
    createContext: ({ res }) => contexts.get(res) as ServiceContext,
    // Messages are parsed once, before they come here.
    experimental_encoder: { encode: (data) => JSON.stringify(data), decode: () => taken },
  });

  const answer = (socket: WebSocket, call: { id: unknown; jsonrpc?: unknown }, error: CodelabError) => {
    if (socket.readyState !== socket.OPEN) return;
    const shape = toTrpcShape(error, newId('req'));
    socket.send(JSON.stringify({ ...call, error: transformer.output.serialize(shape) }));
  };

  return {
    open(socket, request, context, limits) {
      const guard = createFrameGuard(limits);
      const subscriptions = createSubscriptions(router, socket, context);
      let isOver = false;
      const take = (data: RawData, isBinary: boolean, pass: PassMessage) => {
        if (isOver) return;
        const unreadable = refusalOfMessage(data, isBinary);
        if (unreadable !== undefined) {
          guard.senseless();
          answer(socket, { id: null }, unreadable);
        } else if (isPing(data as Buffer)) {
          if (guard.take() === undefined) pass(data as Buffer, false);
        } else {
          const { taken: calls, refused, isSenseless } = sortFrame(data as Buffer, guard);
          for (const { error, ...call } of refused) answer(socket, call, error);
          if (isSenseless) guard.senseless();
          const others = calls.filter((call) => !subscriptions.take(call));
          if (others.length > 0) {
            taken = others;
            pass(READ, false);
          }
        }
        if (!guard.isFlooded) return;
        isOver = true;
        closeFor(socket, flooded);
      };
      interceptMessages(socket, take);
      contexts.set(socket, context);
      connect(socket, request);
    },

    refuse(socket, told) {
      let isClosing = false;
      const take = async (data: RawData, isBinary: boolean) => {
        const error = await told;
        const calls = isBinary ? undefined : parsed(data as Buffer);
        if (calls === undefined) return closeFor(socket, error);
        for (const call of idsOf(calls)) {
          answer(socket, call, error);
          if (!isClosing) setTimeout(() => closeFor(socket, error), LAST_ANSWERS_MS).unref();
          isClosing = true;
        }
      };
      socket.on('message', (data: RawData, isBinary: boolean) => void take(data, isBinary));
    },
  };
}

/** True for tRPC's own ping or pong, beside those of WebSocket. */
function isPing(data: Buffer): boolean {
  return data.length === 4 && (data.equals(PING) || data.equals(PONG));
}

const PING = Buffer.from('PING');
const PONG = Buffer.from('PONG');

function parsed(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch {
    return undefined;
  }
}
