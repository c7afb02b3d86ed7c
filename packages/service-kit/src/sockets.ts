import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  CodelabError,
  newId,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_HEADER,
  PROTOCOL_VERSION_PARAMETER,
} from '@codelab/protocol';
import type { AnyRouter } from '@trpc/server';
import { type WebSocket, WebSocketServer } from 'ws';
import { type AllowOrigin, type Authorize, type Credentials, isAccessRefusal, tokenOf, toToken } from './auth.ts';
import type { Doorkeeper } from './doorkeeper.ts';
import { statusOf, toErrorBody } from './error-shape.ts';
import { createFrameGuard, flooded } from './frame-guard.ts';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from './json-depth.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Logger } from './logger.ts';
import { createMeters, type Meter, type Place } from './meter.ts';
import { CLIENT_LIMITS, MAX_FRAME_BYTES, SERVICE_LIMITS } from './socket-limits.ts';
import { closeFor, refusalOfMessage } from './socket-messages.ts';
import { type Backpressure, createSocketBackpressure } from './trpc/backpressure.ts';
import { corkWrites } from './trpc/cork-writes.ts';
import type { ServiceContext } from './trpc/procedure.ts';
import { createTrpcSockets } from './trpc/trpc-sockets.ts';
import { boundUnknown, onConnectionParams } from './unknown-socket.ts';

const HEARTBEAT_MS = 15_000;
/** WebSocket close code: the service restarts. */
const SERVICE_RESTART = 1012;

/** A raw WebSocket endpoint beside `/trpc`. */
export interface SocketEndpoint {
  /** True for a path whose upgrades this endpoint takes. */
  matches(path: string): boolean;
  /** Serves one connection. `receive` gets each text message that is valid UTF-8, not too large and not too deep. */
  open(connection: SocketConnection): { receive(text: string): void; refuse(error: CodelabError): void };
}

export interface SocketConnection {
  socket: WebSocket;
  url: URL;
  context: ServiceContext;
  /** Aborted when the connection is gone. */
  closed: AbortSignal;
}

export interface SocketServerOptions {
  log: Logger;
  router: AnyRouter;
  door?: SocketEndpoint | undefined;
  lifecycle: Lifecycle;
  authorize: Authorize;
  doorkeeper: Doorkeeper;
  /** Allows pages to come without a token, or to show it after the upgrade. @default none */
  allowsOrigin?: AllowOrigin | undefined;
  /** True for one of our own services, whose one socket carries many people's work. @default nobody */
  isService?: ((credentials: Credentials) => boolean) | undefined;
  makeContext: (credentials: Credentials, requestId: string, backpressure: Backpressure) => ServiceContext;
}

/** Serves the WebSockets of a service: tRPC at `/trpc`, and its endpoint. */
export function createSocketServer(options: SocketServerOptions) {
  const { log, router, door, lifecycle, authorize, doorkeeper, makeContext } = options;
  const { allowsOrigin = () => false, isService = () => false } = options;
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    skipUTF8Validation: true,
    perMessageDeflate: false,
  });
  server.on('headers', (headers) => headers.push(`${PROTOCOL_VERSION_HEADER}: ${PROTOCOL_VERSION}`));
  const trpc = createTrpcSockets(router, server);
  const meters = createMeters();

  const openDoor = (openable: SocketEndpoint, socket: WebSocket, url: URL, context: ServiceContext) => {
    const closed = new AbortController();
    socket.once('close', () => closed.abort());
    const { receive, refuse } = openable.open({ socket, url, context, closed: closed.signal });
    const guard = createFrameGuard(CLIENT_LIMITS);
    let isOver = false;
    socket.on('message', (data, isBinary) => {
      if (isOver) return;
      const refusal = refusalOfMessage(data, isBinary) ?? noFrame(data as Buffer) ?? guard.take();
      if (refusal === undefined) return receive((data as Buffer).toString('utf8'));
      if (refusal.code !== 'RATE_LIMITED') guard.senseless();
      refuse(refusal);
      isOver = guard.isFlooded;
      if (isOver) closeFor(socket, flooded);
    });
  };

  /** Serves an authorized caller. */
  const admit = (socket: WebSocket, raw: Duplex, request: IncomingMessage, credentials: Credentials): void => {
    const isOurs = isService(credentials);
    const limits = isOurs ? SERVICE_LIMITS : CLIENT_LIMITS;
    const meter = meters.open(isOurs ? undefined : request.socket.remoteAddress, limits);
    measure(socket, raw, meter);
    const context = { ...makeContext(credentials, newId('con'), createSocketBackpressure(socket)), meter };
    const url = urlOf(request);
    const { requestId } = context;
    const openedAt = Date.now();
    log.debug({ requestId, isOurs, event: 'socket.open' }, 'WebSocket open');
    socket.once('close', (code) => {
      const seconds = Math.round((Date.now() - openedAt) / 1000);
      log.debug({ requestId, code, seconds, event: 'socket.close' }, 'WebSocket closed');
    });
    if (url.pathname === '/trpc') trpc.open(socket, request, context, limits);
    else if (door !== undefined) openDoor(door, socket, url, context);
  };

  /** tRPC's clients send what a header could have said as their first message. */
  const admitLater = (
    socket: WebSocket,
    raw: Duplex,
    request: IncomingMessage,
    { headers, protocolVersion }: Credentials,
    place: Place | undefined,
  ): void => {
    const known = boundUnknown(socket, raw);
    onConnectionParams(socket, (token) => {
      const credentials = { headers, token, protocolVersion };
      const refusal = authorize(credentials);
      if (refusal !== undefined)
        return trpc.refuse(socket, doorkeeper.told(refusal, credentials, request.socket.remoteAddress));
      known();
      place?.known();
      admit(socket, raw, request, credentials);
    });
  };

  const upgrade = async (request: IncomingMessage, raw: Duplex, head: Buffer) => {
    raw.on('error', () => raw.destroy());
    if (lifecycle.draining.aborted)
      return refuseUpgrade(raw, new CodelabError('OVERLOADED', 'The service is stopping. Try again shortly.'));
    const url = urlOf(request);
    const isTrpc = url.pathname === '/trpc';
    if (!isTrpc && !door?.matches(url.pathname))
      return refuseUpgrade(raw, new CodelabError('NOT_FOUND', 'There is no WebSocket here.'));
    const { headers } = request;
    const credentials: Credentials = {
      headers,
      token: tokenOfQuery(url),
      protocolVersion: url.searchParams.get(PROTOCOL_VERSION_PARAMETER),
    };
    const refusal = authorize(credentials);
    const hasParams = isTrpc && url.searchParams.get('connectionParams') === '1';
    // They are read here: tRPC's adapter is not to wait for them.
    if (hasParams) request.url = '/trpc';
    const isPending = hasParams && tokenOf(credentials) === undefined;

    if (refusal !== undefined) {
      // Browsers always send it with a WebSocket, so that a page is known before it has said anything.
      const { origin } = headers;
      const isForeign = origin !== undefined && isAccessRefusal(refusal) && !allowsOrigin(origin, headers.host);
      if (isForeign) return refuseUpgrade(raw, foreignOrigin(origin, refusal));
      if (!isPending && (!isTrpc || !isFinal(refusal)))
        return refuseUpgrade(raw, await doorkeeper.told(refusal, credentials, request.socket.remoteAddress));
    }
    const isKnown = refusal === undefined && !isPending;
    const place = isKnown && isService(credentials) ? undefined : meters.arrive(request.socket.remoteAddress, isKnown);
    if (place instanceof CodelabError) return refuseUpgrade(raw, place);
    server.handleUpgrade(request, raw, head, (socket) => {
      socket.once('close', () => place?.leave());
      socket.on('error', (error) => log.info({ reason: error.message, event: 'socket.failed' }, 'a socket failed'));
      keepAlive(socket);
      corkWrites(socket, raw);
      if (isPending) admitLater(socket, raw, request, credentials, place);
      else if (refusal !== undefined) {
        // tRPC's clients take a refused upgrade for a service that is away, and come again for ever.
        boundUnknown(socket, raw);
        trpc.refuse(socket, doorkeeper.told(refusal, credentials, request.socket.remoteAddress));
      } else if (hasParams) onConnectionParams(socket, () => admit(socket, raw, request, credentials));
      else admit(socket, raw, request, credentials);
    });
  };

  return {
    upgrade: (request: IncomingMessage, raw: Duplex, head: Buffer) => {
      upgrade(request, raw, head).catch((err) => {
        log.error({ err, event: 'upgrade.failed' }, 'an upgrade failed');
        raw.destroy();
      });
    },
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

/** True where it never helps to come again: tRPC's clients would, of a refused upgrade, and so are answered call by call. */
function isFinal({ code }: CodelabError): boolean {
  return code === 'UNAUTHORIZED' || code === 'PROTOCOL_VERSION_UNSUPPORTED';
}

function refuseUpgrade(raw: Duplex, error: CodelabError): void {
  const body = JSON.stringify(toErrorBody(error, newId('req')));
  const retry = error.retryAfterMs === undefined ? '' : `Retry-After: ${Math.ceil(error.retryAfterMs / 1000)}\r\n`;
  raw.end(
    `HTTP/1.1 ${statusOf(error)} ${error.code}\r\nContent-Type: application/json\r\n${PROTOCOL_VERSION_HEADER}: ${PROTOCOL_VERSION}\r\nX-Content-Type-Options: nosniff\r\n${retry}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function foreignOrigin(origin: string, refusal: CodelabError): CodelabError {
  if (refusal.code === 'FORBIDDEN') return refusal;
  return new CodelabError(
    'FORBIDDEN',
    `A page of "${origin.slice(0, 100)}" may not open a WebSocket here before it has shown a token: send it in the URL, as ?token=….`,
  );
}

/** Returns why this can't be a frame of the older wire, whatever is in it. */
function noFrame(data: Buffer): CodelabError | undefined {
  if (!/^\s*\{/.test(data.toString('latin1', 0, 100)))
    return new CodelabError('VALIDATION', 'The frame is not a JSON object.');
  if (!jsonDepthExceeds(data, MAX_JSON_DEPTH)) return undefined;
  return new CodelabError(
    'VALIDATION',
    `The frame is nested more than ${MAX_JSON_DEPTH} levels deep: send flatter JSON, or the deep part as a string.`,
  );
}

/** Counts what comes and is not a whole message yet. */
function measure(socket: WebSocket, raw: Duplex, meter: Meter): void {
  const onData = (chunk: Buffer) => {
    if (meter.bytes(chunk.length)) return;
    raw.off('data', onData);
    closeFor(socket, new CodelabError('RATE_LIMITED', 'This address holds too much in messages that do not end'));
  };
  // Before `ws` reads the chunk, which may end the message.
  raw.prependListener('data', onData);
  const control = (data: Buffer) => meter.whole(data.length);
  socket.on('message', () => meter.whole());
  socket.on('ping', control);
  socket.on('pong', control);
  socket.once('close', () => {
    raw.off('data', onData);
    meter.close();
  });
}

/** Ends a connection whose other end has vanished. */
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

function tokenOfQuery({ searchParams }: URL): string | undefined {
  const shown = searchParams.getAll('token');
  return toToken(shown.length > 1 ? shown : shown[0]);
}

function urlOf(request: IncomingMessage): URL {
  const base = 'http://localhost';
  return URL.canParse(request.url ?? '', base) ? new URL(request.url ?? '', base) : new URL('/-', base);
}
