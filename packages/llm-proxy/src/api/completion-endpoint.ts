import type { ServerResponse } from 'node:http';
import { CodelabError, ModelName } from '@codelab/protocol';
import {
  type Lifecycle,
  type Logger,
  logFailure,
  openEventStream,
  parseJsonBody,
  toHttpError,
  whenGone,
} from '@codelab/service-kit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller, VirtualKeys } from '../access/virtual-keys.ts';
import { cacheKeyOf } from '../completion/response-cache.ts';
import { type Completion, type CompletionServices, streamCompletion } from '../completion/stream-completion.ts';
import { type CancelSignal, CancelToken } from '../lib/cancel-token.ts';
import { wireStatusOf } from './client-visible-error.ts';

/** Time within which a failure still gets its own HTTP status; after it the head is sent. */
const HEAD_AFTER_MS = 10_000;

export interface EndpointOptions {
  maxBodyBytes: number;
  keepAliveMs: number;
  services: CompletionServices;
  keys: VirtualKeys;
  lifecycle: Lifecycle;
  log: Logger;
}

/** Converts errors to an endpoint's wire. */
export interface ErrorShape {
  body(error: CodelabError, requestId: string): object;
  /** Returns the event that ends a stream which had begun. */
  event(error: CodelabError, requestId: string): string;
}

/** A request of a known key, with a JSON object as its body. */
export interface Admitted {
  /** The body, byte for byte. */
  bytes: Buffer;
  body: Record<string, unknown>;
  /** The part of a `Completion` that is known of each request. */
  context: Pick<Completion<unknown>, 'caller' | 'requestId' | 'cacheKey'> & { signal: CancelSignal };
}

/** Sets a Fastify scope up for a wire: bodies stay bytes, to be passed through as they came; errors get the wire's shape. */
export function prepareEndpoint(app: FastifyInstance, { log, maxBodyBytes }: EndpointOptions, shape: ErrorShape): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: maxBodyBytes },
    (_request: unknown, body: Buffer, done: (error: null, body: Buffer) => void) => done(null, body),
  );
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff');
    done();
  });
  app.setErrorHandler(async (thrown, request, reply) => {
    const error = toHttpError(thrown);
    logFailure(log.child({ requestId: request.id }), error, `${request.method} ${request.routeOptions.url}`);
    return reply
      .status(wireStatusOf(error))
      .headers(errorHeaders(error, request.id))
      .send(shape.body(error, request.id));
  });
}

/** Returns the caller of a request. Throws `UNAUTHORIZED`. */
export function callerOf({ keys }: EndpointOptions, request: FastifyRequest): Caller {
  const caller = keys.find(request);
  if (caller === undefined) throw keys.refusalOf(request);
  return caller;
}

/** Admits a request. Checks that its body is a JSON object; the rest is the provider's to judge. */
export function admit(
  options: EndpointOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  endpoint: string,
): Admitted {
  const caller = callerOf(options, request);
  const bytes = request.body as Buffer | undefined;
  const body = parseJsonBody(bytes ?? Buffer.alloc(0));
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new CodelabError('VALIDATION', 'The body must be a JSON object.');
  const isFresh = /no-cache|no-store/.test(request.headers['cache-control'] ?? '');
  const cacheKey = isFresh || !options.services.cache.isOn ? undefined : cacheKeyOf(endpoint, bytes as Buffer);
  return {
    bytes: bytes as Buffer,
    body: body as Record<string, unknown>,
    context: { caller, requestId: request.id, signal: clientGone(reply.raw), cacheKey },
  };
}

/** Returns a signal that aborts when the client disconnects before its answer is whole. */
function clientGone(response: ServerResponse): CancelSignal {
  const cancel = new CancelToken();
  whenGone(response, () => cancel.abort());
  return cancel;
}

/** Throws `VALIDATION` if a body lacks the fields that every completion has. */
export function checkCompletion(
  body: Record<string, unknown>,
): asserts body is Record<string, unknown> & { model: string; messages: unknown[]; stream?: boolean } {
  const { model, messages, stream } = body;
  const details: Array<{ path: string; message: string }> = [];
  const wrong = (path: string, message: string) => details.push({ path, message: `${path} ${message}` });
  if (!isModelName(model)) wrong('model', 'must be the name of a model');
  if (!Array.isArray(messages)) wrong('messages', 'must be a list');
  else if (messages.length === 0) wrong('messages', 'must not be empty');
  if (stream != null && typeof stream !== 'boolean') wrong('stream', 'must be true or false');
  if (details.length === 0) return;
  throw new CodelabError('VALIDATION', details.map(({ message }) => message).join('; '), { details });
}

export function isModelName(model: unknown): model is string {
  return typeof model === 'string' && ModelName.safeParse(model).success;
}

/** Sends a completion as a stream; its parts are whole events. */
export async function sendStream(
  options: EndpointOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  completion: Completion<Buffer | string>,
  shape: ErrorShape,
): Promise<void> {
  reply.hijack();
  const done = options.lifecycle.begin();
  const stream = openEventStream(reply.raw, {
    headers: ownHeaders(request.id),
    headAfterMs: Math.min(HEAD_AFTER_MS, options.keepAliveMs),
    commentMs: options.keepAliveMs,
    onFailure: (thrown) => shape.event(toHttpError(thrown), request.id),
  });
  try {
    await streamCompletion(completion, options.services, stream.write).then(stream.end, stream.fail);
  } catch (thrown) {
    // Nothing has been sent yet: the failure gets its own status.
    const error = toHttpError(thrown);
    sendJson(
      reply.raw,
      wireStatusOf(error),
      errorHeaders(error, request.id),
      JSON.stringify(shape.body(error, request.id)),
    );
  } finally {
    done();
  }
}

/** Sends a completion as one JSON text. */
export async function sendWhole(
  options: EndpointOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  completion: Completion<Buffer | string>,
): Promise<void> {
  const done = options.lifecycle.begin();
  try {
    let answer: Buffer | string = '';
    await streamCompletion(completion, options.services, (part) => {
      answer = part;
      return undefined;
    });
    reply.hijack();
    // The client has disconnected.
    if (completion.signal?.aborted) return;
    sendJson(reply.raw, 200, ownHeaders(request.id), answer);
  } finally {
    done();
  }
}

function sendJson(response: ServerResponse, status: number, headers: Record<string, string>, body: Buffer | string) {
  if (response.destroyed) return;
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** Returns the headers of each answer: `x-request-id` is OpenAI's, `request-id` Anthropic's. */
function ownHeaders(requestId: string): Record<string, string> {
  return { 'x-request-id': requestId, 'request-id': requestId, 'x-content-type-options': 'nosniff' };
}

function errorHeaders(error: CodelabError, requestId: string): Record<string, string> {
  return {
    ...ownHeaders(requestId),
    'x-codelab-error': error.code,
    ...(error.retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(error.retryAfterMs / 1000)) }),
    // Official clients would retry at once, which cannot succeed.
    ...(error.code === 'BUDGET_EXCEEDED' ? { 'x-should-retry': 'false' } : {}),
  };
}
