import type { CompletionChunk, CompletionRequest } from '@codelab/protocol';

/** What a provider yields: everything but the error, which it throws as a `CodelabError`. */
export type ProviderChunk = Exclude<CompletionChunk, { type: 'error' }>;

/** One kind of upstream. */
export interface Provider {
  /** The part before the slash in a model's name. */
  id: string;
  /** The names of its models. Throws a `CodelabError` when it can't tell. */
  models(signal: AbortSignal): Promise<string[]>;
  /**
   * Completes `request`, whose `model` is the provider's own name for it. Yields `start` first and `finish` last; aborting
   * `signal` aborts the upstream request.
   */
  stream(request: CompletionRequest, signal: AbortSignal): AsyncIterable<ProviderChunk>;
}
