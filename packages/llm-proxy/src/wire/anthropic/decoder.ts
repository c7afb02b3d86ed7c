import type Anthropic from '@anthropic-ai/sdk';
import type { CodelabError, FinishReason, ThinkingBlock } from '@codelab/protocol';
import { ProviderError } from '../../errors/provider-error.ts';
import type { CountedUsage, ProviderChunk } from '../../providers/provider.ts';
import type { ChunkDecoder } from '../chunk-reader.ts';
import { endReason, finishReasonOf } from '../end-reason.ts';
import { toCount } from '../token-estimate.ts';

/** A content block that has begun and not ended. */
type OpenBlock = { type: 'call'; index: number; input: unknown; hasArguments: boolean } | ThinkingBlock;

/**
 * Creates a decoder of Anthropic's events. Tool calls are numbered among themselves; unknown events and blocks are ignored.
 * Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming
 */
export function createAnthropicDecoder(provider: string, model: string): ChunkDecoder {
  const signedBy = `${provider}/${model}`;
  let isStarted = false;
  let hasContent = false;
  let id: string | undefined;
  let isComplete = false;
  let finishReason: FinishReason | undefined;
  let usage: CountedUsage | undefined;
  let calls = 0;
  const open = new Map<number, OpenBlock>();

  const openBlock = (index: number, block: Anthropic.ContentBlock, out: ProviderChunk[]) => {
    switch (block.type) {
      case 'text':
        if (block.text) out.push({ type: 'text', text: block.text });
        return;
      case 'thinking':
        if (block.thinking) out.push({ type: 'reasoning', text: block.thinking });
        open.set(index, { type: 'thinking', thinking: block.thinking ?? '', signature: block.signature ?? '' });
        return;
      case 'redacted_thinking':
        open.set(index, { type: 'redacted_thinking', data: block.data });
        return;
      case 'tool_use':
        out.push({ type: 'tool_call', index: calls, callId: block.id, name: block.name, arguments: '' });
        open.set(index, { type: 'call', index: calls++, input: block.input, hasArguments: false });
    }
  };

  /** Decodes `message_start`, which may have the whole message: content and stop reason. */
  const start = (message: Partial<Anthropic.Message>, out: ProviderChunk[]) => {
    if (hasContent) {
      if (isAnotherMessage(id, message.id)) throw toSplicedError();
      return;
    }
    id = message.id;
    usage = mergeUsage(undefined, message.usage) ?? usage;
    if (!isStarted) out.push({ type: 'start', model: message.model ?? model, provider });
    isStarted = true;
    for (const [index, block] of (message.content ?? []).entries()) {
      hasContent = true;
      openBlock(index, block, out);
      closeBlock(open.get(index), signedBy, out);
      open.delete(index);
    }
    stop(message.stop_reason);
  };
  const stop = (stopReason: unknown) => {
    const reason = endReason(stopReason);
    if (reason === undefined) return;
    hasContent = true;
    finishReason = finishReasonOf(reason);
  };

  return {
    decode(payload, out) {
      const event = payload as Anthropic.RawMessageStreamEvent;
      switch (event.type) {
        case 'message_start':
          start(event.message ?? {}, out);
          return;
        case 'content_block_start':
          hasContent = true;
          openBlock(event.index, event.content_block, out);
          return;
        case 'content_block_delta':
          hasContent = true;
          addDelta(open.get(event.index), event.delta, out);
          return;
        case 'content_block_stop':
          closeBlock(open.get(event.index), signedBy, out);
          open.delete(event.index);
          return;
        case 'message_delta':
          usage = mergeUsage(usage, event.usage);
          stop(event.delta?.stop_reason);
          return;
        case 'message_stop':
          isComplete = true;
      }
    },
    isComplete: () => isComplete && finishReason !== undefined,
    finishReason: () => finishReason,
    usage: () => usage,
  };
}

/** Adds the chunks of a delta, and the delta to its block. */
function addDelta(block: OpenBlock | undefined, delta: Anthropic.RawContentBlockDelta, out: ProviderChunk[]): void {
  switch (delta.type) {
    case 'text_delta':
      if (delta.text !== '') out.push({ type: 'text', text: delta.text });
      return;
    case 'thinking_delta':
      if (delta.thinking !== '') out.push({ type: 'reasoning', text: delta.thinking });
      if (block?.type === 'thinking') block.thinking += delta.thinking;
      return;
    case 'signature_delta':
      if (block?.type === 'thinking') block.signature += delta.signature;
      return;
    case 'input_json_delta':
      if (block?.type !== 'call' || delta.partial_json === '') return;
      block.hasArguments = true;
      out.push({ type: 'tool_call', index: block.index, arguments: delta.partial_json });
  }
}

/** Adds the chunks that a block's end makes known: whole thinking, or the arguments of a call without deltas. */
function closeBlock(block: OpenBlock | undefined, signedBy: string, out: ProviderChunk[]): void {
  if (block === undefined) return;
  if (block.type !== 'call') out.push({ type: 'thinking', block, signedBy });
  // A call without arguments has no deltas, or only empty ones: its arguments are an object all the same.
  else if (!block.hasArguments)
    out.push({ type: 'tool_call', index: block.index, arguments: JSON.stringify(block.input ?? {}) });
}

/** True if a second `message_start` begins another message, rather than repeats the first. */
export function isAnotherMessage(id: string | undefined, other: string | undefined): boolean {
  return typeof id === 'string' && typeof other === 'string' && id !== other;
}

/** Creates the error for a second message in one stream. */
export function toSplicedError(): CodelabError {
  return new ProviderError('PROVIDER_STREAM_LOST', 'The provider began another answer in the middle of one');
}

/** Usage in Anthropic's events and whole answers. */
export interface AnthropicUsage {
  input_tokens?: number | null;
  output_tokens?: number | null;
  cache_read_input_tokens?: number | null;
  cache_creation_input_tokens?: number | null;
  output_tokens_details?: { thinking_tokens?: number | null } | null;
}

/**
 * Merges Anthropic's usage into ours. Its counts are totals so far. Its `input_tokens` exclude cache reads and writes; our `inputTokens`,
 * like OpenAI's, include them.
 */
export function mergeUsage(
  before: CountedUsage | undefined,
  now: AnthropicUsage | null | undefined,
): CountedUsage | undefined {
  if (now == null || (before === undefined && now.input_tokens == null && now.output_tokens == null)) return before;
  const cachedTokens = toCount(now.cache_read_input_tokens);
  const cacheWriteTokens = toCount(now.cache_creation_input_tokens);
  const inputTokens = toCount(now.input_tokens) + cachedTokens + cacheWriteTokens;
  const hasInput = now.input_tokens != null && (inputTokens > 0 || before === undefined);
  return {
    inputTokens: hasInput ? inputTokens : (before?.inputTokens ?? 0),
    outputTokens: now.output_tokens == null ? (before?.outputTokens ?? 0) : toCount(now.output_tokens),
    cachedTokens: hasInput ? cachedTokens : (before?.cachedTokens ?? 0),
    reasoningTokens: toCount(now.output_tokens_details?.thinking_tokens ?? before?.reasoningTokens),
    cacheWriteTokens: hasInput ? cacheWriteTokens : (before?.cacheWriteTokens ?? 0),
    isEstimated: false,
  };
}
