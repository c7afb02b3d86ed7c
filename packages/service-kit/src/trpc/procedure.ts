import { CodelabError, newId, RequestId, Traced, transformer } from '@codelab/protocol';
import { initTRPC } from '@trpc/server';
import type { Credentials } from '../auth.ts';
import { isCountless } from '../doorkeeper.ts';
import { toCodelabError, toTrpcShape } from '../error-shape.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import type { Meter } from '../meter.ts';
import type { Backpressure } from './backpressure.ts';
import { pushable, pushOf } from './pushable.ts';

/** The context of every procedure of every service. */
export interface ServiceContext {
  /** The call's id, or the connection's until a call brings its own. */
  requestId: string;
  /** The reason why the caller is turned away, if it is. tRPC can't say so from createContext. */
  refusal: CodelabError | undefined;
  /** The caller's credentials. */
  credentials: Credentials;
  log: Logger;
  lifecycle: Lifecycle;
  backpressure: Backpressure;
  /** Counts what a WebSocket has open. */
  meter?: Meter | undefined;
}

/** The request ids under which failures were logged. */
const logged = new WeakMap<object, string>();

function requestIdOf(input: unknown): string | undefined {
  if (typeof input !== 'object' || input === null) return undefined;
  const parsed = RequestId.safeParse((input as { requestId?: unknown }).requestId);
  return parsed.success ? parsed.data : undefined;
}

const t = initTRPC.context<ServiceContext>().create({
  transformer,
  isDev: false,
  sse: { ping: { enabled: true, intervalMs: 15_000 } },
  errorFormatter({ error, ctx, input, path }) {
    const known = toCodelabError(error);
    const before = logged.get(error) ?? logged.get(error.cause ?? error);
    const requestId = before ?? requestIdOf(input) ?? newId('req');
    // An answer that cannot be written: no procedure has seen that.
    if (known.code === 'INTERNAL' && before === undefined && ctx !== undefined)
      logFailure(ctx.log.child({ requestId }), known, path ?? 'tRPC');
    return toTrpcShape(known, requestId);
  },
});

export const router = t.router;

/** The types of our routers: their context, errors and transformer. */
export type RootTypes = (typeof t)['_config']['$types'];

/** A procedure: authorised, traced, refused while the service stops, its failures logged. */
export const procedure = t.procedure
  .use(({ ctx, type, next }) => {
    if (ctx.refusal !== undefined) throw ctx.refusal;
    if (type !== 'query' && ctx.lifecycle.draining.aborted)
      throw new CodelabError('OVERLOADED', 'The service is stopping. Try again shortly.', { retryAfterMs: 1000 });
    return next();
  })
  .input(Traced.prefault({}))
  .use(async ({ ctx, input, path, type, next }) => {
    const requestId = input.requestId ?? newId('req');
    const log = ctx.log.child({ requestId });
    const leave = ctx.meter?.enter(type);
    const done = type === 'mutation' ? ctx.lifecycle.begin() : undefined;
    const begunAt = performance.now();
    const result = await next({ ctx: { requestId, log } });
    done?.();
    const ms = Math.round(performance.now() - begunAt);
    log.debug({ path, type, ok: result.ok, ms, event: 'call.end' }, `${path} answered`);
    if (leave !== undefined) {
      if (type === 'subscription' && result.ok) return { ...result, data: untilEnd(result.data as object, leave) };
      leave();
    }
    if (!result.ok) {
      logFailure(log, toCodelabError(result.error), path);
      logged.set(result.error, requestId);
    }
    return result;
  });

/** Calls `onEnd` at the end of a subscription's source: a pulled one is disposed of at the end of each. */
function untilEnd(source: object, onEnd: () => void): AsyncIterable<unknown> {
  const pull = () => {
    const iterator = (source as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    const ending: AsyncIterator<unknown> = {
      next: () => iterator.next(),
      async return() {
        onEnd();
        await iterator.return?.();
        return { done: true, value: undefined };
      },
    };
    return ending;
  };
  const push = pushOf(source);
  return push === undefined ? { [Symbol.asyncIterator]: pull } : pushable(pull, (sink) => push(sink).finally(onEnd));
}

/** Logs what ended a subscription's stream, under its caller's request id, and throws it on. */
export function streamFailed({ log, requestId }: ServiceContext, thrown: unknown, path: string): never {
  logFailure(log, toCodelabError(thrown), path);
  if (typeof thrown === 'object' && thrown !== null) logged.set(thrown, requestId);
  throw thrown;
}

/** Our bugs with their stack, everything else in a line. */
export function logFailure(log: Logger, error: CodelabError, path: string): void {
  if (isCountless(error)) return;
  if (error.code === 'INTERNAL') log.error({ path, err: error.cause ?? error, event: 'call.failed' }, `${path} failed`);
  else log.info({ path, code: error.code, event: 'call.refused' }, `${path} refused`);
}
