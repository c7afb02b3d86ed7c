import type { CompletionRequest } from '@codelab/protocol';
import { CodelabError } from '@codelab/protocol';
import { toBrokenError, toStreamFault, toUnfinishedError, toUnreadableError } from '../errors/provider-error.ts';
import { toFault } from '../errors/provider-fault.ts';
import { Aborted, type HttpClientResponse } from '../http-client/http-client.ts';
import type { CancelSignal } from '../lib/cancel-token.ts';
import { tokensOf } from '../lib/token-length.ts';
import {
  type AnswerReader,
  type BuiltinProvider,
  type CountedUsage,
  type Endpoint,
  type HttpProvider,
  noChoices,
  type OpenedChoices,
  type ProviderChunk,
} from '../providers/provider.ts';
import { failedEndIn, faultIn } from '../wire/chunk-reader.ts';
import { saidCharacters } from '../wire/said-characters.ts';
import { estimateUsage } from '../wire/token-estimate.ts';

/** Maximum size of an answer that is not streamed. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/** Receives a part of an answer. Backpressure: a promise is awaited before the next part. */
export type Deliver<T> = (part: T) => Promise<void> | undefined;

export interface AttemptRun<T> {
  /** Aborts the provider request. */
  cancel: CancelSignal;
  /** Called for each packet of the provider. */
  onActivity: () => void;
  deliver: Deliver<T>;
}

/** One request to one provider. `T` is what the client's endpoint sends: chunks, or bytes of its wire. */
export interface Attempt<T> {
  /** Resolves when the answer is whole and delivered. Rejects with a `CodelabError`, or with the abort's error. Runs once. */
  run(how: AttemptRun<T>): Promise<void>;
  /** True once a part of the answer itself has come: from then on a retry would repeat it. */
  hasBegun(): boolean;
  /** Returns the choices whose beginning it has delivered. */
  opened(): OpenedChoices;
  /** True if the answer was delivered to its end, and its last event reports a failure. */
  hasFailed(): boolean;
  /** Returns the usage, estimated if the answer ended before the provider reported it; undefined if the provider has done nothing. */
  usage(): CountedUsage | undefined;
}

interface PostedRequest {
  provider: HttpProvider;
  endpoint: Endpoint;
  /** The provider's own name of the model. */
  model: string;
  body: Buffer | string;
  headers?: Record<string, string>;
  /** Estimates the tokens of the request. */
  inputTokens: () => number;
}

/** Creates an attempt whose answer is streamed. */
export function streamAttempt<T>(request: PostedRequest, reader: AnswerReader<T>): Attempt<T> {
  const { provider } = request;
  let isPaid = false;
  return {
    async run({ cancel, onActivity, deliver }) {
      const response = await post(request, cancel, () => {
        isPaid = true;
      });
      try {
        await checkIsStream(response, provider);
        isPaid = true;
        // From here to the client's socket nothing is awaited, as long as the client keeps up.
        await response.each((packet) => {
          const part = reader.push(packet);
          onActivity();
          const wait = part === undefined ? undefined : deliver(part);
          if (reader.failure !== undefined) throw reader.failure;
          const verdict = reader.isComplete ? 'enough' : undefined;
          return wait === undefined ? verdict : wait.then(() => verdict);
        });
        if (reader.isComplete) return;
        const last = reader.end();
        if (last !== undefined) await deliver(last);
        if (reader.failure !== undefined) throw reader.failure;
      } catch (error) {
        throw toBrokenError(error, provider.names, reader.hasBegun);
      }
    },
    hasBegun: () => reader.hasBegun,
    opened: () => reader.opened,
    hasFailed: () => reader.hasFailed,
    usage: () => (isPaid ? reader.usage(request.inputTokens) : undefined),
  };
}

/** Sends the request. Calls `onPaid` if it is aborted once the provider may have it: the provider may go on, and charge for it. */
async function post(request: PostedRequest, cancel: CancelSignal, onPaid: () => void): Promise<HttpClientResponse> {
  try {
    return await request.provider.post(request.endpoint, request, cancel);
  } catch (error) {
    if (error instanceof CodelabError && error.cause instanceof Aborted && error.cause.wasSent) onPaid();
    throw error;
  }
}

/** Throws if the answer is no stream: a login page, say, or an error with the status 200. */
async function checkIsStream(response: HttpClientResponse, { names }: HttpProvider): Promise<void> {
  const type = response.headers['content-type'] ?? '';
  if (!/html|json/i.test(String(type))) return;
  const body = (await response.read(MAX_JSON_BYTES)).toString('utf8');
  if (/json/i.test(String(type))) {
    const fault = faultInText(body);
    if (fault !== undefined) throw toStreamFault(fault, names, false);
  }
  throw toUnreadableError(
    `it came as ${/json/i.test(String(type)) ? 'JSON' : 'HTML'} in place of a stream`,
    names,
    false,
  );
}

function faultInText(body: string) {
  try {
    const answer = JSON.parse(body) as { error?: unknown } | null;
    return answer?.error ? (toFault(answer) ?? {}) : undefined;
  } catch {
    return undefined;
  }
}

/** Describes the whole answers of an endpoint. */
export interface WholeAnswer {
  isAnswer(answer: object): boolean;
  /**
   * True if an answer has its finish reason.
   * @default answers of this kind have none
   */
  isWhole?(answer: object): boolean;
  usage(answer: object): CountedUsage | undefined;
}

/** Creates an attempt whose answer comes whole. Delivers its text as it came, once it is checked. */
export function jsonAttempt(request: PostedRequest, kind: WholeAnswer): Attempt<string> {
  const { provider } = request;
  let hasBegun = false;
  let isPaid = false;
  let characters = 0;
  let usage: CountedUsage | undefined;
  return {
    async run({ cancel, onActivity, deliver }) {
      const response = await post(request, cancel, () => {
        isPaid = true;
      });
      isPaid = true;
      onActivity();
      let text: string;
      try {
        text = provider.names.censor(await response.read(MAX_JSON_BYTES)).toString('utf8');
      } catch (error) {
        throw toBrokenError(error, provider.names, false);
      }
      const answer = parseAnswer(text, provider);
      const isAnswer = kind.isAnswer(answer);
      if (isAnswer) {
        usage = kind.usage(answer);
        if (usage === undefined) characters = saidCharacters(text);
      }
      const fault = faultIn(answer) ?? failedEndIn(answer) ?? (isAnswer ? undefined : toFault(answer));
      if (fault !== undefined) throw toStreamFault(fault, provider.names, false);
      if (!isAnswer) throw toUnreadableError('it is no answer to what was asked', provider.names, false);
      if (kind.isWhole?.(answer) === false) throw toUnfinishedError(provider.names);
      hasBegun = true;
      await deliver(text);
    },
    hasBegun: () => hasBegun,
    opened: () => noChoices,
    hasFailed: () => false,
    usage() {
      if (usage !== undefined || !isPaid) return usage;
      return estimateUsage(undefined, { inputTokens: request.inputTokens, outputTokens: tokensOf(characters) });
    },
  };
}

function parseAnswer(text: string, { names }: HttpProvider): object {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null) return answer;
  } catch {
    // Thrown below.
  }
  throw toUnreadableError('it is not JSON', names, false);
}

/** Creates an attempt that asks a model within this process. */
export function builtinAttempt<T>(
  provider: BuiltinProvider,
  request: CompletionRequest,
  encode: (chunks: ProviderChunk[]) => T | undefined,
): Attempt<T> {
  let hasBegun = false;
  let usage: CountedUsage | undefined;
  return {
    async run({ cancel, onActivity, deliver }) {
      for await (const chunk of provider.stream(request, cancel)) {
        if (chunk.type !== 'start') hasBegun = true;
        if (chunk.type === 'usage') usage = { ...chunk.usage, isEstimated: false };
        onActivity();
        const part = encode([chunk]);
        if (part !== undefined) await deliver(part);
      }
    },
    hasBegun: () => hasBegun,
    opened: () => noChoices,
    hasFailed: () => false,
    usage: () => usage,
  };
}

/** Wraps a chunk reader so that it returns what `encode` makes of its chunks. */
export function encodeParts<T>(
  reader: AnswerReader<ProviderChunk[]>,
  encode: (chunks: ProviderChunk[]) => T | undefined,
): AnswerReader<T> {
  const encodeAll = (chunks: ProviderChunk[] | undefined) => (chunks === undefined ? undefined : encode(chunks));
  return {
    get hasBegun() {
      return reader.hasBegun;
    },
    get opened() {
      return reader.opened;
    },
    get isComplete() {
      return reader.isComplete;
    },
    get failure() {
      return reader.failure;
    },
    get hasFailed() {
      return reader.hasFailed;
    },
    push: (packet) => encodeAll(reader.push(packet)),
    end: () => encodeAll(reader.end()),
    usage: (inputTokens) => reader.usage(inputTokens),
  };
}
