import type { LlmProxyRouter } from '@codelab/llm-proxy/router';
import {
  CodelabError,
  type CompletionChunk,
  type CompletionRequest,
  createMergeQueue,
  type ModelList,
  QUEUE_BYTES,
  toWireError,
} from '@codelab/protocol';
import { createRpcClient, type Logger, parseTail, toCodelabError } from '@codelab/service-kit';

/** A completion fails once llm-proxy is out of reach for so long. */
const LOST_AFTER_MS = 30_000;

export interface LlmStreamOptions {
  signal: AbortSignal;
  requestId: string;
  /** The session that the request goes on with: what it has in common with the next one is cached at the provider. */
  sessionId?: string;
}

/** An answer of a model, which waits for its reader, up to 4 MiB. */
export interface LlmAnswer {
  /**
   * Calls `onChunk` with each chunk, those that are there and each as it comes, and resolves after the last: exactly one `finish` or `error`,
   * or none where the signal aborts. Rejects only with what `onChunk` throws. May be called once.
   */
  each(onChunk: (chunk: CompletionChunk) => void): Promise<void>;
  /** Gives up an answer that nobody reads. */
  drop(): void;
}

/** Calls language models by llm-proxy. */
export interface LlmClient {
  /** Starts the request at once. When `signal` aborts, the provider's request ends too. */
  stream(request: CompletionRequest, options: LlmStreamOptions): LlmAnswer;
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
  const stream = (request: CompletionRequest, { signal, requestId, sessionId }: LlmStreamOptions): LlmAnswer => {
    const waiting = createMergeQueue<CompletionChunk>({ size: sizeOf, limitBytes: QUEUE_BYTES, merge: mergeTexts });
    const over = new AbortController();
    const end = () => over.abort();
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    let reader: ((chunk: CompletionChunk) => void) | undefined;
    let hasLast = false;
    const take = (chunk: CompletionChunk) => {
      if (hasLast) return;
      if (chunk.type === 'finish' || chunk.type === 'error') {
        hasLast = true;
        end();
      }
      if (reader !== undefined) reader(chunk);
      else if (!waiting.push(chunk))
        fail(new CodelabError('INTERNAL', 'The answer came faster than it could be stored.'));
    };
    const fail = (error: unknown) => {
      if (!signal.aborted) take({ type: 'error', error: toWireError(toCodelabError(error), requestId) });
    };
    const asked = rpc
      .follow(
        (trpc, observer) => trpc.completion.stream.subscribe({ request, requestId, sessionId }, observer),
        (tail) => take(parseTail<CompletionChunk>(tail).data),
        { signal: over.signal, lostAfterMs: LOST_AFTER_MS },
      )
      .then(() => {
        const why = 'llm-proxy ended the answer before it was complete.';
        if (!hasLast) fail(new CodelabError('PROVIDER_STREAM_LOST', why, { details: { lostBy: 'llm-proxy' } }));
      }, fail)
      .finally(() => signal.removeEventListener('abort', end));
    return {
      each: (onChunk) =>
        new Promise((resolve, reject) => {
          reader = (chunk) => {
            try {
              onChunk(chunk);
            } catch (error) {
              reader = () => {};
              end();
              reject(error);
            }
          };
          for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) reader(chunk);
          void asked.then(resolve);
        }),
      drop: end,
    };
  };

  return {
    stream,
    models: (requestId) => rpc.call((trpc, options) => trpc.model.list.query({ requestId }, options)),
    close: () => rpc.close(),
  };
}

function sizeOf(chunk: CompletionChunk): number {
  return 'text' in chunk ? 100 + chunk.text.length * 2 : 300;
}

/** Merges adjacent pieces of text in the queue, so that a fast provider can't fill it with small ones. */
function mergeTexts(earlier: CompletionChunk, later: CompletionChunk): CompletionChunk | undefined {
  if ((earlier.type !== 'text' && earlier.type !== 'reasoning') || earlier.type !== later.type) return undefined;
  return { type: earlier.type, text: earlier.text + later.text };
}
