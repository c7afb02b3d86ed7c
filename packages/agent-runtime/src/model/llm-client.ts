import type { LlmProxyRouter } from '@codelab/llm-proxy/router';
import {
  CodelabError,
  type CompletionChunk,
  type CompletionRequest,
  type ModelList,
  toWireError,
} from '@codelab/protocol';
import { createRpcClient, type Logger, toCodelabError } from '@codelab/service-kit';

/** A completion fails once llm-proxy is out of reach for so long. */
const LOST_AFTER_MS = 30_000;

export interface LlmStreamOptions {
  signal: AbortSignal;
  requestId: string;
  /** The session that the request goes on with: what it has in common with the next one is cached at the provider. */
  sessionId?: string;
}

/** Calls language models by llm-proxy. */
export interface LlmClient {
  /** Starts the request at once. Never throws: ends with exactly one `finish` or `error`, or without one when `signal` aborts, which also ends the provider's request. */
  stream(request: CompletionRequest, options: LlmStreamOptions): AsyncGenerator<CompletionChunk, void, undefined>;
  models(requestId: string): Promise<ModelList>;
  close(): void;
}

export interface LlmClientOptions {
  url: string;
  key: string;
  log: Logger;
}

/** Creates the only caller of llm-proxy. */
export function createLlmClient({ url, key, log }: LlmClientOptions): LlmClient {
  const rpc = createRpcClient<LlmProxyRouter>({
    url,
    key,
    log,
    name: 'llm-proxy',
    variable: 'AGENT_RUNTIME__LLM_PROXY_URL',
  });
  async function* stream(
    request: CompletionRequest,
    { signal, requestId, sessionId }: LlmStreamOptions,
  ): AsyncGenerator<CompletionChunk, void, undefined> {
    const chunks = rpc.stream<{ data: CompletionChunk }>(
      (trpc, observer) => trpc.completion.stream.subscribe({ request, requestId, sessionId }, observer),
      {
        signal,
        size: ({ data }) => ('text' in data ? 100 + data.text.length * 2 : 300),
        merge: mergeTexts,
        lostAfterMs: LOST_AFTER_MS,
        onOverflow: () => new CodelabError('INTERNAL', 'The answer came faster than it could be stored.'),
      },
    );
    try {
      for await (const { data } of chunks) {
        yield data;
        if (data.type === 'finish' || data.type === 'error') return;
      }
      if (signal.aborted) return;
      yield {
        type: 'error',
        error: toWireError(
          new CodelabError('PROVIDER_STREAM_LOST', 'llm-proxy ended the answer before it was complete.', {
            details: { lostBy: 'llm-proxy' },
          }),
          requestId,
        ),
      };
    } catch (error) {
      if (!signal.aborted) yield { type: 'error', error: toWireError(toCodelabError(error), requestId) };
    }
  }

  return {
    stream: (request, options) => startEagerly(stream(request, options)),
    models: (requestId) => rpc.call((trpc, options) => trpc.model.list.query({ requestId }, options)),
    close: () => rpc.close(),
  };
}

/** Merges adjacent pieces of text in the queue, so that a fast provider can't fill it with small ones. */
function mergeTexts<C extends { data: CompletionChunk }>(earlier: C, later: C): C | undefined {
  const [a, b] = [earlier.data, later.data];
  if ((a.type !== 'text' && a.type !== 'reasoning') || a.type !== b.type) return undefined;
  return { ...later, data: { type: a.type, text: a.text + b.text } };
}

/** Asks for the first value now, not when it is read. */
function startEagerly<T>(source: AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
  const first = source.next();
  return (async function* () {
    try {
      const { done, value } = await first;
      if (done) return;
      yield value;
      yield* source;
    } finally {
      await source.return();
    }
  })();
}
