import { CodelabError, estimateTextTokens, type FinishReason, type Usage } from '@codelab/protocol';
import { type ProviderNames, toCutError, toStreamFault, toUnreadableError } from '../errors/provider-error.ts';
import { type ProviderFault, toFault } from '../errors/provider-fault.ts';
import {
  type AnswerReader,
  type CountedUsage,
  noChoices,
  type OpenedChoices,
  type ProviderChunk,
} from '../providers/provider.ts';
import { isFailure } from './end-reason.ts';
import { createSseFramer, eventsOf } from './sse-framer.ts';
import { estimateUsage } from './token-estimate.ts';

/** Decodes the events of one wire. */
export interface ChunkDecoder {
  /** Adds the chunks of one event to `out`. */
  decode(payload: object, out: ProviderChunk[]): void;
  /** True once the wire's own last event was decoded. */
  isComplete(): boolean;
  /** Returns the finish reason, once it is known. */
  finishReason(): FinishReason | undefined;
  /** Returns the usage so far. */
  usage(): CountedUsage | undefined;
}

/** Creates a reader that decodes a stream of either wire to chunks: `start` first, `usage` and `finish` last. */
export function createChunkReader(
  decoder: ChunkDecoder,
  names: ProviderNames,
  costOf: (usage: CountedUsage) => number | undefined,
): AnswerReader<ProviderChunk[]> {
  const framer = createSseFramer();
  let hasBegun = false;
  let isComplete = false;
  let tokens = 0;
  let failure: unknown;
  let opened = noChoices;

  const finish = (out: ProviderChunk[]) => {
    const finishReason = decoder.finishReason();
    if (finishReason === undefined) throw toCutError(names);
    isComplete = true;
    const usage = decoder.usage();
    if (usage !== undefined) {
      const costUsd = costOf(usage);
      out.push({ type: 'usage', usage: toUsage(usage), ...(costUsd === undefined ? {} : { costUsd }) });
    }
    out.push({ type: 'finish', finishReason });
  };

  const decode = (data: string, isError: boolean, out: ProviderChunk[]) => {
    if (isDone(data)) return finish(out);
    const begun = hasBegun || out.some(isAnswer);
    const payload = parse(data, names, begun);
    const fault = faultIn(payload, isError) ?? failedEndIn(payload);
    if (fault !== undefined) throw toStreamFault(fault, names, begun);
    decoder.decode(payload, out);
    if (decoder.isComplete()) finish(out);
  };

  const read = (events: Buffer): ProviderChunk[] => {
    const out: ProviderChunk[] = [];
    try {
      for (const { data, isError } of eventsOf(names.censor(events).toString('utf8'))) {
        if (isComplete) break;
        if (data !== undefined && data !== '') decode(data, isError, out);
      }
    } catch (error) {
      if (!out.some(isAnswer)) throw error;
      failure = error;
    }
    if (out.length > 0) opened = firstChoice;
    for (const chunk of out) {
      if (!isAnswer(chunk)) continue;
      hasBegun = true;
      if ('text' in chunk) tokens += estimateTextTokens(chunk.text);
      else if (chunk.type === 'tool_call') tokens += estimateTextTokens(chunk.arguments);
    }
    return out;
  };

  return {
    get hasBegun() {
      return hasBegun;
    },
    get opened() {
      return opened;
    },
    get isComplete() {
      return isComplete;
    },
    get failure() {
      return failure;
    },
    hasFailed: false,
    push(packet) {
      const events = framer.push(packet);
      if (events === undefined) return undefined;
      const out = read(events);
      return out.length === 0 ? undefined : out;
    },
    end() {
      const rest = framer.rest();
      const out = rest.length === 0 ? [] : readRest(read, rest);
      if (!isComplete && failure === undefined) finish(out);
      return out;
    },
    usage(inputTokens) {
      const usage = decoder.usage();
      if (usage !== undefined && isComplete) return usage;
      return estimateUsage(usage, { inputTokens, outputTokens: Math.ceil(tokens) });
    },
  };
}

const firstChoice: OpenedChoices = new Set([0]);

/** True for the last event of OpenAI's streams. */
export function isDone(data: string): boolean {
  return data.startsWith('[DONE]') || data.trimStart().startsWith('[DONE]');
}

function toUsage({ isEstimated: _, ...usage }: CountedUsage): Usage {
  return usage;
}

/** True for a chunk that is a part of the answer, rather than about it. */
function isAnswer({ type }: ProviderChunk): boolean {
  return type !== 'start' && type !== 'usage';
}

/** Reads an event at the end of the body that lacks its empty line, as `[DONE]` often does; ignores one that is cut. */
function readRest<T>(read: (events: Buffer) => T[], rest: Buffer): T[] {
  try {
    return read(rest);
  } catch (error) {
    if (error instanceof CodelabError && error.cause instanceof SyntaxError) return [];
    throw error;
  }
}

/** Parses an event. Throws if it is no JSON object. */
export function parse(data: string, names: ProviderNames, hasBegun: boolean): object {
  let payload: unknown;
  try {
    payload = JSON.parse(data);
  } catch (cause) {
    throw toUnreadableError('an event is not JSON', names, hasBegun, { cause });
  }
  if (typeof payload === 'object' && payload !== null) return payload;
  throw toUnreadableError('an event is no object', names, hasBegun);
}

/** Returns the failure that an event, or a whole answer, of either wire reports. `isError`: the event's name is `error`. */
export function faultIn(payload: object, isError = false): ProviderFault | undefined {
  const { error, type, object } = payload as { error?: unknown; type?: unknown; object?: unknown };
  return isError || error || type === 'error' || object === 'error' ? (toFault(payload) ?? {}) : undefined;
}

/** Returns the failure with which an answer of either wire ends, in an event or as a whole. There may be an answer before it. */
export function failedEndIn(payload: object): ProviderFault | undefined {
  const { choices, delta, message, stop_reason: reason } = payload as Record<string, unknown>;
  for (const choice of Array.isArray(choices) ? choices : []) {
    const { error, finish_reason: end } = (choice ?? {}) as { error?: unknown; finish_reason?: unknown };
    if (error || isFailure(end)) return toFault({ error }) ?? { message: `finish_reason ${end}` };
  }
  for (const stop of [reason, stopOf(delta), stopOf(message)])
    if (isFailure(stop)) return { message: `stop_reason ${stop}` };
  return undefined;
}

function stopOf(part: unknown): unknown {
  return (part as { stop_reason?: unknown } | null | undefined)?.stop_reason;
}
