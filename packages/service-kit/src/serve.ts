import { isUtf8 } from 'node:buffer';
import type { AddressInfo } from 'node:net';
import { CodelabError, newId, RequestId } from '@codelab/protocol';
import type { AnyRouter } from '@trpc/server';
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http';
import { type FastifyInstance, fastify } from 'fastify';
import type { Registry } from 'prom-client';
import type { Authorize, Credentials } from './auth.ts';
import { statusOf, toCodelabError, toErrorBody } from './error-shape.ts';
import { type Flow, freeFlow } from './flow.ts';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from './json-depth.ts';
import { createLifecycle, type Lifecycle } from './lifecycle.ts';
import { MAX_BATCH, MAX_BODY_BYTES } from './limits.ts';
import type { Logger } from './logger.ts';
import { addServingMetrics, createMetrics } from './metrics.ts';
import { createSocketServer, type SocketDoor } from './sockets.ts';
import { logFailure, type ServiceContext } from './trpc.ts';

export interface ServeOptions {
  name: string;
  version: string;
  host: string;
  port: number;
  log: Logger;
  router: AnyRouter;
  authorize: Authorize;
  /** Who may read `/metrics`. Default: as `authorize`. */
  authorizeMetrics?: Authorize;
  /** Adds the service's own routes. */
  routes?: (
    app: FastifyInstance,
    makeContext: (request: Credentials, requestId: string, flow?: Flow) => ServiceContext,
    lifecycle: Lifecycle,
  ) => void;
  door?: SocketDoor;
  /** Where the service's own work counts as well. Default: one of its own. */
  lifecycle?: Lifecycle;
  /** What `/metrics` shows. Default: the process's own metrics. */
  metrics?: Registry;
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
  const { log, router, lifecycle = createLifecycle() } = options;
  const app = createApp(options, lifecycle);

  const makeContext = (credentials: Credentials, requestId: string, flow: Flow = freeFlow): ServiceContext => ({
    requestId,
    refusal: options.authorize(credentials),
    credentials,
    log,
    lifecycle,
    flow,
  });

  options.routes?.(app, makeContext, lifecycle);
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

  const metrics = options.metrics ?? createMetrics(options.name);
  app.get('/metrics', async (request, reply) => {
    const refusal = (options.authorizeMetrics ?? options.authorize)(request);
    if (refusal !== undefined) throw refusal;
    return reply.type(metrics.contentType).send(await metrics.metrics());
  });

  const sockets = createSocketServer({ ...options, lifecycle, makeContext });
  addServingMetrics(metrics, lifecycle, sockets.count);
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
      const given = request.headers['x-request-id'];
      return given !== undefined && RequestId.safeParse(given).success ? String(given) : newId('req');
    },
    routerOptions: { maxParamLength: 2000, ignoreTrailingSlash: true },
    requestTimeout: 60_000,
    return503OnClosing: false,
  });
  // curl's documented commands send JSON, some without saying so: every body is taken as JSON.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) => parseJsonBody(body));

  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    if (!lifecycle.draining.aborted || request.raw.url === '/health') done();
    else done(new CodelabError('OVERLOADED', 'The service is stopping. Try again shortly.', { retryAfterMs: 1000 }));
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

/** A request's body. Throws `VALIDATION` for what is not UTF-8, not JSON, or nested more than `MAX_JSON_DEPTH` deep. */
export function parseJsonBody(body: Buffer): unknown {
  if (!isUtf8(body)) throw new CodelabError('VALIDATION', 'The body is not valid UTF-8.');
  if (body.length === 0) throw new CodelabError('VALIDATION', 'The body is empty: it must be a JSON object.');
  if (jsonDepthExceeds(body, MAX_JSON_DEPTH))
    throw new CodelabError(
      'VALIDATION',
      `The body is nested more than ${MAX_JSON_DEPTH} levels deep: send flatter JSON, or the deep part as a string.`,
    );
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new CodelabError('VALIDATION', `The body is not JSON: ${(cause as Error).message}`, { cause });
  }
}

const BY_FASTIFY_CODE: Record<string, CodelabError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: new CodelabError('PAYLOAD_TOO_LARGE', 'The body is larger than this service takes.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: new CodelabError('VALIDATION', 'The body is not as long as Content-Length says.'),
  FST_ERR_CTP_EMPTY_JSON_BODY: new CodelabError('VALIDATION', 'The body is empty: it must be a JSON object.'),
  FST_ERR_BAD_URL: new CodelabError('VALIDATION', 'The URL is not valid.'),
};

/** What a route or Fastify itself threw. */
export function toHttpError(thrown: unknown): CodelabError {
  const code = (thrown as { code?: unknown } | null)?.code;
  return (typeof code === 'string' ? BY_FASTIFY_CODE[code] : undefined) ?? toCodelabError(thrown);
}
