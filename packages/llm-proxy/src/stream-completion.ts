import { CodelabError, type CompletionChunk, type CompletionRequest, toWireError } from '@codelab/protocol';
import { type Logger, toCodelabError } from '@codelab/service-kit';
import type { Models } from './models.ts';
import type { ProviderChunk } from './providers/provider.ts';

/** A provider that says nothing for so long has failed. */
const IDLE_MS = 120_000;

export interface CompletionCall {
  signal: AbortSignal | undefined;
  requestId: string;
  log: Logger;
}

/**
 * Completes `request` with whoever serves its model. Never throws, and ends with exactly one `finish` or `error`, unless
 * `signal` aborts: then the upstream request is aborted and it just ends.
 */
export async function* streamCompletion(
  models: Models,
  request: CompletionRequest,
  { signal, requestId, log }: CompletionCall,
): AsyncGenerator<CompletionChunk, void, undefined> {
  const upstream = new AbortController();
  const onAbort = () => upstream.abort();
  signal?.addEventListener('abort', onAbort);
  const startedAt = performance.now();
  let firstAt: number | undefined;
  let served = { provider: 'none', model: request.model };
  let outcome: CompletionChunk | undefined;
  try {
    if (signal?.aborted) return;
    const { provider, model } = await models.resolve(request.model);
    served = { provider: provider.id, model };
    for await (const chunk of withIdleLimit(provider.stream({ ...request, model }, upstream.signal), upstream)) {
      firstAt ??= performance.now();
      if (chunk.type === 'finish') {
        outcome = chunk;
        break;
      }
      yield chunk;
    }
    if (signal?.aborted) return;
    outcome ??= { type: 'error', error: toWireError(new CodelabError('PROVIDER_STREAM_LOST'), requestId) };
  } catch (thrown) {
    if (signal?.aborted) return;
    const error = toCodelabError(thrown);
    const level = error.code === 'INTERNAL' ? 'error' : 'warn';
    log[level](
      { ...served, code: error.code, err: error.code === 'INTERNAL' ? error.cause : undefined, reason: error.message },
      'the completion failed',
    );
    outcome = { type: 'error', error: toWireError(error, requestId) };
  } finally {
    signal?.removeEventListener('abort', onAbort);
    upstream.abort();
    log.info(
      {
        ...served,
        outcome: outcome?.type ?? 'cancelled',
        firstChunkMs: firstAt === undefined ? undefined : Math.round(firstAt - startedAt),
        totalMs: Math.round(performance.now() - startedAt),
      },
      'completion',
    );
  }
  yield outcome;
}

async function* withIdleLimit(
  chunks: AsyncIterable<ProviderChunk>,
  upstream: AbortController,
): AsyncGenerator<ProviderChunk, void, undefined> {
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    upstream.abort();
  }, IDLE_MS);
  try {
    for await (const chunk of chunks) {
      timer.refresh();
      yield chunk;
    }
  } catch (error) {
    if (timedOut)
      throw new CodelabError('PROVIDER_UNAVAILABLE', `The provider said nothing for ${IDLE_MS / 1000} s.`, {
        cause: error,
      });
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
