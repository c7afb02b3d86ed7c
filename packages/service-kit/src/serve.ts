import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CodelabError, newId, RequestId } from '@codelab/protocol';
import type { AnyRouter } from '@trpc/server';
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http';
import { getWSConnectionHandler } from '@trpc/server/adapters/ws';
import { type FastifyInstance, fastify } from 'fastify';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Authorize, Credentials } from './auth.ts';
import { statusOf, toCodelabError, toErrorBody, toTrpcShape } from './error-shape.ts';
import { createSocketFlow, type Flow, freeFlow } from './flow.ts';
import { createLifecycle, type Lifecycle } from './lifecycle.ts';
import type { Logger } from './logger.ts';
import { logFailure, type ServiceContext } from './trpc.ts';

/** The most a body or a WebSocket message may have. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A WebSocket message over `MAX_BODY_BYTES` gets an error; one over this ends its connection (1009). */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** Calls in one tRPC batch. A client that reconnects sends all its subscriptions in one. */
const MAX_BATCH = 1000;
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

export interface ServeOptions {
  name: string;
  version: string;
  host: string;
  port: number;
  log: Logger;
  router: AnyRouter;
  authorize: Authorize;
  /** Adds the service's own routes. */
  routes?: (
    app: FastifyInstance,
    makeContext: (request: Credentials, requestId: string, flow?: Flow) => ServiceContext,
  ) => void;
  door?: SocketDoor;
  /** Ends what still runs when its time is over. */
  onTimeout?: () => Promise<void>;
}

export interface RunningService {
  url: string;
  port: number;
  /** Stops accepting, lets what runs finish for up to `timeoutMs`, then closes everything. */
  close(timeoutMs?: number): Promise<void>;
}

/** One port for everything a service has: health, its routes, tRPC over HTTP and WebSocket, raw WebSockets. */
export async function serve(options: ServeOptions): Promise<RunningService> {
  const { log, router } = options;
  const lifecycle = createLifecycle();
  const app = createApp(options, lifecycle);

  const makeContext = (credentials: Credentials, requestId: string, flow: Flow = freeFlow): ServiceContext => ({
    requestId,
    refusal: options.authorize(credentials),
    log,
    lifecycle,
    flow,
  });

  options.routes?.(app, makeContext);
  app.register(async (scope) => {
    // tRPC reads the body itself.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.all('/trpc/*', async (request, reply) => {
      reply.hijack();
      await nodeHTTPRequestHandler({
        router,
        req: request.raw,
        res: reply.raw,
        path: (request.params as { '*': string })['*'],
        maxBodySize: MAX_BODY_BYTES,
        maxBatchSize: MAX_BATCH,
        createContext: ({ info }) =>
          makeContext({ headers: request.headers, token: info.connectionParams?.token ?? undefined }, request.id),
      });
    });
  });

  const sockets = createSocketServer(options, lifecycle, makeContext);
  app.server.on('upgrade', sockets.upgrade);
  await app.listen({ host: options.host, port: options.port });
  const address = app.server.address() as AddressInfo;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  const url = `http://${host}:${address.port}`;
  log.info({ url }, `${options.name} listens on ${url}`);

  let closing: Promise<void> | undefined;
  return {
    url,
    port: address.port,
    close(timeoutMs = 0) {
      closing ??= (async () => {
        app.server.closeIdleConnections();
        const stopped = new Promise<void>((resolve) => app.server.close(() => resolve()));
        await lifecycle.drain(timeoutMs);
        await options.onTimeout?.();
        await sockets.close();
        app.server.closeIdleConnections();
        // What is left has had its time.
        const force = setTimeout(() => app.server.closeAllConnections(), 100);
        await stopped;
        clearTimeout(force);
        await app.close();
      })();
      return closing;
    },
  };
}

function createApp(options: ServeOptions, lifecycle: Lifecycle): FastifyInstance {
  const { log } = options;
  const app = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestIdHeader: false,
    genReqId: (request) => {
      const given = RequestId.safeParse(request.headers['x-request-id']);
      return given.success ? given.data : newId('req');
    },
    routerOptions: { maxParamLength: 2000, ignoreTrailingSlash: true },
    requestTimeout: 60_000,
    return503OnClosing: false,
  });
  // curl's documented commands send JSON, some without saying so: every body is taken as JSON.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) => parseJson(body));

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    const { url } = request.raw;
    if (!lifecycle.draining.aborted || url === '/health') return;
    throw new CodelabError('OVERLOADED', 'The service is stopping. Try again shortly.', { retryAfterMs: 1000 });
  });
  app.setNotFoundHandler(async (request) => {
    throw new CodelabError(
      'NOT_FOUND',
      `There is no ${request.method} ${request.url.split('?')[0]?.slice(0, 200)} here.`,
    );
  });
  app.setErrorHandler(async (thrown, request, reply) => {
    const error = toHttpError(thrown);
    logFailure(
      log.child({ requestId: request.id }),
      error,
      `${request.method} ${request.routeOptions.url ?? 'unknown route'}`,
    );
    if (error.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
    return reply.status(statusOf(error)).send(toErrorBody(error, request.id));
  });
  app.get('/health', async (_request, reply) => {
    const draining = lifecycle.draining.aborted;
    if (draining) reply.status(503);
    return { status: draining ? 'draining' : 'healthy', service: options.name, version: options.version };
  });
  return app;
}

/** Throws `VALIDATION` for what is not UTF-8 or not JSON. */
function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) throw new CodelabError('VALIDATION', 'The body is not valid UTF-8.');
  if (body.length === 0) throw new CodelabError('VALIDATION', 'The body is empty: it must be a JSON object.');
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new CodelabError('VALIDATION', `The body is not JSON: ${(cause as Error).message}`, { cause });
  }
}

const BY_FASTIFY_CODE: Record<string, CodelabError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: new CodelabError(
    'PAYLOAD_TOO_LARGE',
    `The body is too large: at most ${MAX_BODY_BYTES / 1024 / 1024} MiB.`,
  ),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: new CodelabError('VALIDATION', 'The body is not as long as Content-Length says.'),
  FST_ERR_CTP_EMPTY_JSON_BODY: new CodelabError('VALIDATION', 'The body is empty: it must be a JSON object.'),
  FST_ERR_BAD_URL: new CodelabError('VALIDATION', 'The URL is not valid.'),
};

/** What a route or Fastify itself threw. */
export function toHttpError(thrown: unknown): CodelabError {
  const code = (thrown as { code?: unknown } | null)?.code;
  return (typeof code === 'string' ? BY_FASTIFY_CODE[code] : undefined) ?? toCodelabError(thrown);
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

function createSocketServer(
  options: ServeOptions,
  lifecycle: Lifecycle,
  makeContext: (credentials: Credentials, requestId: string, flow: Flow) => ServiceContext,
) {
  const { log, router, door } = options;
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
      if (isTrpc) openTrpc(socket, request);
      else if (door !== undefined) openDoor(door, socket, url, context);
    });
  };

  return {
    upgrade,
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
