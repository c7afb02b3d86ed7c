import type { CompletionChunk, CompletionRequest, Usage } from '@codelab/protocol';
import type { ProviderNames } from '../errors/provider-error.ts';
import type { HttpClientResponse } from '../http-client/http-client.ts';
import type { CancelSignal } from '../lib/cancel-token.ts';

/** A chunk of a provider's answer. Errors are no chunks: they are thrown as a `CodelabError`. */
export type ProviderChunk = Exclude<CompletionChunk, { type: 'error' }>;

/** Token usage of one answer, as far as it is known. */
export interface CountedUsage extends Usage {
  /** True if we estimated it, because the answer was cancelled or broke before the provider reported usage. */
  isEstimated: boolean;
}

/** Asks a provider to cache the part of a prompt that the next one of its session begins with as well. */
export interface PromptCache {
  sessionId: string;
  /** Time that Anthropic keeps it without a request. */
  ttl: '5m' | '1h';
}

/** A part that a request is sent without where the model refuses it. */
export type OptionalPart = 'prompt_cache_key' | 'cache_control' | 'thinking_blocks' | `effort:${string}`;

interface ProviderBase {
  /** First part of its models' names, before the slash. */
  id: string;
  /** Lists the names of its models. Throws a `CodelabError` if the provider fails. */
  models(signal: CancelSignal): Promise<string[]>;
}

/** An endpoint of a provider's API. */
export type Endpoint = 'chat/completions' | 'embeddings' | 'messages' | 'messages/count_tokens';

/** A provider that is a server. */
export interface HttpProvider extends ProviderBase {
  wire: 'openai' | 'anthropic';
  names: ProviderNames;
  /** True for OpenAI itself and Azure: other servers may not know the newer fields. */
  isOpenAi: boolean;
  /** True if the provider knows `stream_options.include_usage`. */
  hasStreamUsage: boolean;
  /** True if the provider takes `prompt_cache_key`, or Anthropic's `cache_control`. */
  hasPromptCache: boolean;
  /** Returns the parts that a model has refused. */
  refusedBy(model: string): ReadonlySet<OptionalPart>;
  /** Remembers that a model refuses a part. */
  refuse(model: string, part: OptionalPart): void;
  /**
   * Resolves with the head of a 2xx answer. Throws a `CodelabError` for any other status, and when `signal` aborts the request.
   * `model` is the provider's own name of the model: some have it in the path.
   */
  post(
    endpoint: Endpoint,
    request: { model: string; body: Buffer | string; headers?: Record<string, string> },
    signal: CancelSignal,
  ): Promise<HttpClientResponse>;
}

/** A provider within this process. */
export interface BuiltinProvider extends ProviderBase {
  wire: 'builtin';
  /** Yields `start` first and `finish` last. */
  stream(request: CompletionRequest, signal: CancelSignal): AsyncIterable<ProviderChunk>;
}

export type Provider = HttpProvider | BuiltinProvider;

/** Indexes of the choices whose beginning the client has received. Anthropic's wire has one choice, 0. */
export type OpenedChoices = ReadonlySet<number>;

export const noChoices: OpenedChoices = new Set();

/** Reads one streamed answer. `T` is its output: chunks, or bytes of a client's wire. */
export interface AnswerReader<T> {
  /** True once a part of the answer itself was read: from then on a retry would repeat it. */
  readonly hasBegun: boolean;
  /** Choices whose beginning is in the output so far. */
  readonly opened: OpenedChoices;
  /** True once the stream's last event was read; later bytes are ignored. */
  readonly isComplete: boolean;
  /** The error that ended the stream, if the last output had parts that came before it. */
  readonly failure: unknown;
  /** True if the answer was passed on to its end, and its last event reports a failure. */
  readonly hasFailed: boolean;
  /** Reads a packet. Throws a `CodelabError` if the provider reports a failure or cannot be understood. */
  push(packet: Buffer): T | undefined;
  /** Reads the end of the body. Throws `PROVIDER_STREAM_LOST` if the answer is not complete. */
  end(): T | undefined;
  /** Returns the usage so far. Calls `inputTokens` only if it has to be estimated. */
  usage(inputTokens: () => number): CountedUsage;
}
