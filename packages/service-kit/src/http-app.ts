import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import {
  CodelabError,
  newId,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_HEADER,
  PROTOCOL_VERSION_PARAMETER,
  RequestId,
} from '@codelab/protocol';
import type { AnyRouter } from '@trpc/server';
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { type Authorize, type Credentials, tokenOfParams, toToken } from './auth.ts';
import type { Doorkeeper } from './doorkeeper.ts';
import { statusOf, toCodelabError, toErrorBody, toTrpcShape } from './error-shape.ts';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from './json-depth.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Logger } from './logger.ts';
import { HEAD_MS, MAX_BATCH, MAX_BODY_BYTES, REQUEST_MS } from './socket-limits.ts';
import { logFailure, type ServiceContext } from './trpc/procedure.ts';

const TRPC_ROUTE = '/trpc/*';
/** Milliseconds until a refused caller that goes on sending is cut off. */
const LINGER_MS = 2_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Lets anybody ask for a route, or who may read the metrics. @default who may use the service */
    access?: 'anybody' | 'metrics';
    /** Has a browser ask its person for the key, where a page cannot have it in its URL. @default false */
    asksBrowser?: boolean;
  }
}

export interface HttpAppOptions {
  name: string;
  version: string;
  log: Logger;
  lifecycle: Lifecycle;
}

/** An HTTP server with `/health`, our errors, and JSON bodies; its caller adds the routes. */
export function createHttpApp({ name, version, log, lifecycle }: HttpAppOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestIdHeader: false,
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return given !== undefined && RequestId.safeParse(given).success ? String(given) : newId('req');
    },
    routerOptions: { maxParamLength: 2000, ignoreTrailingSlash: true },
    requestTimeout: REQUEST_MS,
    http: { headersTimeout: HEAD_MS, connectionsCheckingInterval: HEAD_MS / 3 },
    return503OnClosing: false,
    // A URL for which no route can be looked for: no hook and no handler of errors sees it.
    frameworkErrors: (thrown, request, reply: FastifyReply) => {
      const error = toHttpError(thrown);
      describe(request, reply);
      reply.status(statusOf(error)).send(toErrorBody(error, request.id));
    },
  });
  // curl's documented commands send JSON, some without saying so: every body is taken as JSON.
  app.removeAllContentTypeParsers();
  // Clients name the type of a body that they don't send.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    body.length === 0 ? undefined : parseJsonBody(body),
  );

  app.addHook('onRequest', (request, reply, done) => {
    describe(request, reply);
    if (!lifecycle.draining.aborted || request.raw.url === '/health') done();
    else done(new CodelabError('OVERLOADED', 'The service is stopping. Try again shortly.', { retryAfterMs: 1000 }));
  });
  // An answer that did not wait for the body leaves a caller who may send it for ever.
  app.addHook('onResponse', (request, reply, done) => {
    if (!request.raw.complete) cutOffLater(request.raw);
    const { method, id: requestId, routeOptions } = request;
    const { statusCode: status } = reply.raw;
    const ms = Math.round(reply.elapsedTime);
    log.debug(
      { requestId, method, route: routeOptions.url, status, ms, event: 'request.end' },
      'HTTP request answered',
    );
    done();
  });
  app.setNotFoundHandler(async (request) => {
    throw notFound(request);
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
  app.get('/health', { config: { access: 'anybody' } }, async (_request, reply) => {
    const draining = lifecycle.draining.aborted;
    if (draining) reply.status(503);
    return { status: draining ? 'draining' : 'healthy', service: name, version };
  });
  return app;
}

/** Sets the headers of every answer. */
function describe(request: FastifyRequest, reply: FastifyReply): void {
  // On the raw response: event streams and tRPC write their own head.
  reply.raw.setHeader('x-content-type-options', 'nosniff');
  reply.raw.setHeader(PROTOCOL_VERSION_HEADER, PROTOCOL_VERSION);
  reply.header('x-request-id', request.id);
}

export interface AdmissionOptions {
  /** The service's name: browsers say who asks for a key. */
  name: string;
  authorize: Authorize;
  authorizeMetrics: Authorize;
  doorkeeper: Doorkeeper;
  /** Takes `?token=` on every route. On `/trpc`, connectionParams count in any case. */
  takesTokenInUrl: boolean;
}

/** Turns callers away before their bodies are read. Returns whether a request has been let in. */
export function addAdmission(app: FastifyInstance, options: AdmissionOptions): (request: object) => boolean {
  const { name, doorkeeper, takesTokenInUrl } = options;
  const admitted = new WeakSet<object>();
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) throw notFound(request);
    const { access, asksBrowser = false } = request.routeOptions.config;
    if (access === 'anybody') return;
    const asks = asksBrowser && !takesTokenInUrl;
    const shown = credentialsOf(request, takesTokenInUrl);
    const credentials = asks ? { ...shown, headers: withPassword(shown.headers) } : shown;
    const authorize = access === 'metrics' ? options.authorizeMetrics : options.authorize;
    const refusal = authorize(credentials);
    if (refusal !== undefined) {
      if (asks) reply.header('www-authenticate', `Basic realm="${name}, whose key is the password", charset="UTF-8"`);
      throw await doorkeeper.told(refusal, credentials, request.raw.socket.remoteAddress);
    }
    admitted.add(request);
  });
  return (request) => admitted.has(request);
}

function credentialsOf(request: FastifyRequest, takesTokenInUrl: boolean): Credentials {
  const {
    token,
    connectionParams,
    [PROTOCOL_VERSION_PARAMETER]: protocolVersion,
  } = request.query as Record<string, unknown>;
  // The route, and not the URL: `/%74rpc/` is the same.
  const inParams = request.routeOptions.url === TRPC_ROUTE ? tokenIn(connectionParams) : undefined;
  const inUrl = takesTokenInUrl ? toToken(token) : undefined;
  return { headers: request.headers, token: inParams ?? inUrl, protocolVersion };
}

/** Shows the password that a browser has asked for as a bearer's token. https://www.rfc-editor.org/rfc/rfc7617 */
function withPassword(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const encoded = /^Basic +(.+)$/i.exec(headers.authorization ?? '')?.[1];
  if (encoded === undefined) return headers;
  const password = /^[^:]*:(.+)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8'))?.[1];
  return password === undefined ? headers : { ...headers, authorization: `Bearer ${password}` };
}

/** tRPC's subscriptions over HTTP have them as JSON in the URL. */
function tokenIn(connectionParams: unknown): string | undefined {
  if (typeof connectionParams !== 'string') return tokenOfParams(connectionParams);
  try {
    return tokenOfParams(JSON.parse(connectionParams));
  } catch {
    return undefined;
  }
}

export interface TrpcHttpOptions {
  router: AnyRouter;
  log: Logger;
  makeContext: (credentials: Credentials, requestId: string) => ServiceContext;
}

/** tRPC at `/trpc`. */
export function trpcRoutes({ router, log, makeContext }: TrpcHttpOptions) {
  const { transformer } = router._def._config;
  return async (scope: FastifyInstance) => {
    // tRPC parses the body itself: it gets one that is whole, and not too deep.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
      Object.assign(request.raw, { body: readableJson(body).toString('utf8') });
    });
    scope.setErrorHandler(async (thrown, request, reply) => {
      const error = toHttpError(thrown);
      logFailure(log.child({ requestId: request.id }), error, `${request.method} /trpc`);
      if (error.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
      const shape = toTrpcShape(error, request.id);
      return reply.status(statusOf(error)).send({ error: transformer.output.serialize(shape) });
    });
    scope.all(TRPC_ROUTE, async (request, reply) => {
      const { input } = request.query as Record<string, unknown>;
      if (typeof input === 'string') readableJson(Buffer.from(input));
      reply.hijack();
      await nodeHTTPRequestHandler({
        router,
        req: request.raw,
        res: reply.raw,
        path: (request.params as { '*': string })['*'],
        maxBodySize: MAX_BODY_BYTES,
        maxBatchSize: MAX_BATCH,
        createContext: () => makeContext(request, request.id),
      });
    });
  };
}

/** Ends the connection of a request that does not end. */
function cutOffLater(request: IncomingMessage): void {
  setTimeout(() => {
    if (!request.complete) request.socket.destroy();
  }, LINGER_MS).unref();
}

function notFound(request: FastifyRequest): CodelabError {
  return new CodelabError(
    'NOT_FOUND',
    `There is no ${request.method} ${request.url.split('?')[0]?.slice(0, 200)} here.`,
  );
}

/** A request's body. Throws `VALIDATION` for what is not UTF-8, not JSON, or nested more than `MAX_JSON_DEPTH` deep. */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) throw new CodelabError('VALIDATION', 'The body is empty: it must be a JSON object.');
  try {
    return JSON.parse(readableJson(body).toString('utf8'));
  } catch (cause) {
    if (cause instanceof CodelabError) throw cause;
    throw new CodelabError('VALIDATION', `The body is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Throws `VALIDATION`. */
function readableJson(body: Buffer): Buffer {
  if (!isUtf8(body)) throw new CodelabError('VALIDATION', 'The body is not valid UTF-8.');
  if (jsonDepthExceeds(body, MAX_JSON_DEPTH))
    throw new CodelabError(
      'VALIDATION',
      `The body is nested more than ${MAX_JSON_DEPTH} levels deep: send flatter JSON, or the deep part as a string.`,
    );
  return body;
}

const BY_FASTIFY_CODE: Record<string, CodelabError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: new CodelabError('PAYLOAD_TOO_LARGE', 'The body is larger than this service takes.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: new CodelabError('VALIDATION', 'The body is not as long as Content-Length says.'),
  FST_ERR_CTP_EMPTY_JSON_BODY: new CodelabError('VALIDATION', 'The body is empty: it must be a JSON object.'),
  FST_ERR_BAD_URL: new CodelabError('VALIDATION', 'The URL is not valid.'),
};

/** Returns what a route or Fastify itself threw, as one of our errors. */
export function toHttpError(thrown: unknown): CodelabError {
  const code = (thrown as { code?: unknown } | null)?.code;
  return (typeof code === 'string' ? BY_FASTIFY_CODE[code] : undefined) ?? toCodelabError(thrown);
}
