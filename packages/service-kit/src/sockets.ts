import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CodelabError, newId } from '@codelab/protocol';
import type { AnyRouter } from '@trpc/server';
import { getWSConnectionHandler } from '@trpc/server/adapters/ws';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Credentials } from './auth.ts';
import { statusOf, toErrorBody, toTrpcShape } from './error-shape.ts';
import { createSocketFlow, type Flow, freeFlow } from './flow.ts';
import type { Lifecycle } from './lifecycle.ts';
import { MAX_BATCH, MAX_BODY_BYTES, MAX_FRAME_BYTES } from './limits.ts';
import type { Logger } from './logger.ts';
import type { ServiceContext } from './trpc.ts';

const HEARTBEAT_MS = 15_000;
/** WebSocket close code: the service restarts. */
const SERVICE_RESTART = 1012;

/** A raw WebSocket door beside `/trpc`. */
export interface SocketDoor {
  /** Whether this door takes upgrades of `path`. */
  matches(path: string): boolean;
  /** Serves one connection. `receive` gets each text message that is valid UTF-8 and not too large. */
  open(connection: SocketConnection): { receive(text: string): void; refuse(error: CodelabError): void };
}

export interface SocketConnection {
  socket: WebSocket;
  url: URL;
  context: ServiceContext;
  /** Aborted when the connection is gone. */
  closed: AbortSignal;
}

/** Why a message can't be taken, if it can't. */
function refusalOf(data: RawData, isBinary: boolean): CodelabError | undefined {
  if (isBinary) return new CodelabError('VALIDATION', 'Binary frames are not accepted: send JSON as a text frame.');
  const buffer = data as Buffer;
  if (buffer.length > MAX_BODY_BYTES)
    return new CodelabError(
      'PAYLOAD_TOO_LARGE',
      `The message is too large: at most ${MAX_BODY_BYTES / 1024 / 1024} MiB.`,
    );
  if (!isUtf8(buffer)) return new CodelabError('VALIDATION', 'The message is not valid UTF-8.');
  return undefined;
}

export interface SocketServerOptions {
  log: Logger;
  router: AnyRouter;
  door?: SocketDoor | undefined;
  lifecycle: Lifecycle;
  makeContext: (credentials: Credentials, requestId: string, flow: Flow) => ServiceContext;
}

/** The WebSockets of a service: tRPC at `/trpc`, and its door. */
export function createSocketServer({ log, router, door, lifecycle, makeContext }: SocketServerOptions) {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    skipUTF8Validation: true,
    perMessageDeflate: false,
  });
  const { transformer } = router._def._config;

  const connectTrpc = getWSConnectionHandler({
    wss: server,
    router,
    maxBatchSize: MAX_BATCH,
    createContext: ({ req, res, info }) =>
      makeContext(
        { headers: req.headers, token: info.connectionParams?.token ?? tokenParameter(urlOf(req)) },
        newId('con'),
        createSocketFlow(res),
      ),
  });

  const openTrpc = (socket: WebSocket, request: IncomingMessage) => {
    // tRPC's adapter takes what we refuse (binary frames, broken UTF-8) or has no limit for it: it only gets to see what passes.
    const on = socket.on.bind(socket);
    socket.on = ((event: string, listener: (...args: unknown[]) => void) => {
      if (event !== 'message') return on(event, listener);
      return on('message', (data, isBinary) => {
        const refusal = refusalOf(data, isBinary);
        if (refusal === undefined) return listener(data, isBinary);
        const shape = toTrpcShape(refusal, newId('req'));
        socket.send(JSON.stringify({ id: null, error: transformer.output.serialize(shape) }));
      });
    }) as typeof socket.on;
    connectTrpc(socket, request);
  };

  const openDoor = (openable: SocketDoor, socket: WebSocket, url: URL, context: ServiceContext) => {
    const closed = new AbortController();
    socket.once('close', () => closed.abort());
    const { receive, refuse } = openable.open({
      socket,
      url,
      context: { ...context, flow: createSocketFlow(socket) },
      closed: closed.signal,
    });
    socket.on('message', (data, isBinary) => {
      const refusal = refusalOf(data, isBinary);
      if (refusal === undefined) receive((data as Buffer).toString('utf8'));
      else refuse(refusal);
    });
  };

  const upgrade = (request: IncomingMessage, raw: Duplex, head: Buffer) => {
    raw.on('error', () => raw.destroy());
    const refuse = (error: CodelabError) => {
      const body = JSON.stringify(toErrorBody(error, newId('req')));
      raw.end(
        `HTTP/1.1 ${statusOf(error)} ${error.code}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    };
    if (lifecycle.draining.aborted)
      return refuse(new CodelabError('OVERLOADED', 'The service is stopping. Try again shortly.'));
    const url = urlOf(request);
    const isTrpc = url.pathname === '/trpc';
    if (!isTrpc && !door?.matches(url.pathname))
      return refuse(new CodelabError('NOT_FOUND', 'There is no WebSocket here.'));
    const context = makeContext({ headers: request.headers, token: tokenParameter(url) }, newId('con'), freeFlow);
    // On /trpc the token may come in connectionParams, after the upgrade.
    if (!isTrpc && context.refusal !== undefined) return refuse(context.refusal);
    server.handleUpgrade(request, raw, head, (socket) => {
      socket.on('error', (error) => log.info({ reason: error.message }, 'a socket failed'));
      keepAlive(socket);
      sendTogether(socket, raw);
      if (isTrpc) openTrpc(socket, request);
      else if (door !== undefined) openDoor(door, socket, url, context);
    });
  };

  return {
    upgrade,
    count: () => server.clients.size,
    async close() {
      const open = [...server.clients];
      for (const socket of open) socket.close(SERVICE_RESTART, 'the service restarts: reconnect and resume');
      const closed = Promise.all(open.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
      const force = setTimeout(() => {
        for (const socket of open) socket.terminate();
      }, 250);
      await closed;
      clearTimeout(force);
    },
  };
}

/**
 * What is sent within one turn of the event loop leaves in one write: many streams share a socket, and a write for each of their tokens
 * would cost more than all else that is done for it.
 */
function sendTogether(socket: WebSocket, raw: Duplex): void {
  const send = socket.send.bind(socket) as (...args: unknown[]) => void;
  let isCorked = false;
  socket.send = ((...args: unknown[]) => {
    if (!isCorked) {
      isCorked = true;
      raw.cork();
      setImmediate(() => {
        isCorked = false;
        raw.uncork();
      });
    }
    send(...args);
  }) as typeof socket.send;
}

/** Ends a connection whose other end has vanished without a word. */
function keepAlive(socket: WebSocket): void {
  let alive = true;
  socket.on('pong', () => {
    alive = true;
  });
  const timer = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, HEARTBEAT_MS);
  socket.once('close', () => clearInterval(timer));
}

function urlOf(request: IncomingMessage): URL {
  const base = 'http://localhost';
  return URL.canParse(request.url ?? '', base) ? new URL(request.url ?? '', base) : new URL('/-', base);
}

function tokenParameter(url: URL): string | undefined {
  return url.searchParams.get('token') ?? undefined;
}
