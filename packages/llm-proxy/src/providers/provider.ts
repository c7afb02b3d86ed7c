import type { CompletionChunk, CompletionRequest, Usage } from '@codelab/protocol';
import type { ProviderNames } from '../errors/provider-error.ts';
import type { HttpClientResponse } from '../http-client/http-client.ts';
import type { CancelSignal } from '../lib/cancel-token.ts';

/** What a provider says, as chunks: everything but the error, which is thrown as a `CodelabError`. */
export type ProviderChunk = Exclude<CompletionChunk, { type: 'error' }>;

/** What one answer has used, as far as it is known. */
export interface CountedUsage extends Usage {
  /** Written to the provider's cache: part of `inputTokens`, but dearer. */
  cacheWriteTokens: number;
  /** Counted by us, because the provider did not come to say: a cancelled or a broken answer. */
  isEstimated: boolean;
}

interface ProviderBase {
  /** The part before the slash in a model's name. */
  id: string;
  /** The names of its models. Throws a `CodelabError` when it can't tell. */
  models(signal: CancelSignal): Promise<string[]>;
}

/** What is asked of a provider. */
export type Endpoint = 'chat/completions' | 'embeddings' | 'messages' | 'messages/count_tokens';

/** A server behind HTTP. */
export interface HttpProvider extends ProviderBase {
  wire: 'openai' | 'anthropic';
  names: ProviderNames;
  /** Whether it is OpenAI itself (or Azure's), whose newer fields others may not know. */
  isOpenAi: boolean;
  /** Whether a stream may be asked to end with its usage. */
  hasStreamUsage: boolean;
  /**
   * Resolves with the head of an answer that is 2xx. Throws a `CodelabError` for any other, and when `signal` aborts the request.
   * `model` is the provider's own name for it: some have it in the address.
   */
  post(
    endpoint: Endpoint,
    request: { model: string; body: Buffer | string; headers?: Record<string, string> },
    signal: CancelSignal,
  ): Promise<HttpClientResponse>;
}

/** A model within this process. */
export interface BuiltinProvider extends ProviderBase {
  wire: 'builtin';
  /** Yields `start` first and `finish` last. */
  stream(request: CompletionRequest, signal: CancelSignal): AsyncIterable<ProviderChunk>;
}

export type Provider = HttpProvider | BuiltinProvider;

/** The choices that a client has had the beginning of, by their numbers. Anthropic's wire has one, 0. */
export type OpenedChoices = ReadonlySet<number>;

export const noChoices: OpenedChoices = new Set();

/** Reads one streamed answer. `T` is what a packet comes to: chunks, or bytes of a client's wire. */
export interface AnswerReader<T> {
  /** Whether a part of the answer itself has come: after it, asking again would say it twice. */
  readonly hasBegun: boolean;
  /** What was given of it has opened these. */
  readonly opened: OpenedChoices;
  /** Whether the answer is complete: whatever comes after it is nothing of it. */
  readonly isComplete: boolean;
  /** Why it can't go on, once what came before that has been given. */
  readonly failure: unknown;
  /** Whether the answer, passed on to its end as it came, says itself that it ended by a failure. */
  readonly hasFailed: boolean;
  /** Throws a `CodelabError` where the provider reports a failure, or can't be understood. */
  push(packet: Buffer): T | undefined;
  /** The body is over. Throws `PROVIDER_STREAM_LOST` if the answer is not complete. */
  end(): T | undefined;
  /** `inputTokens` is asked for only where it has to be estimated. */
  usage(inputTokens: () => number): CountedUsage;
}
