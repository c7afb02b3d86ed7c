import type Anthropic from '@anthropic-ai/sdk';
import type { CodelabError, FinishReason, ThinkingBlock } from '@codelab/protocol';
import { ProviderError } from '../../errors/provider-error.ts';
import type { CountedUsage, ProviderChunk } from '../../providers/provider.ts';
import type { ChunkDecoder } from '../chunk-reader.ts';
import { endReason, finishReasonOf } from '../end-reason.ts';
import { toCount } from '../token-estimate.ts';

/** The block that is open at an index. */
type OpenBlock = { type: 'call'; index: number; input: unknown; hasArguments: boolean } | ThinkingBlock;

/**
 * Anthropic's events as chunks. Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming
 * Tool calls are numbered among themselves, whatever text stands between them; unknown events and blocks are passed over.
 */
export function createAnthropicDecoder(provider: string, model: string): ChunkDecoder {
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

  const addTo = (block: OpenBlock | undefined, delta: Anthropic.RawContentBlockDelta, out: ProviderChunk[]) => {
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
  };

  const closeBlock = (block: OpenBlock | undefined, out: ProviderChunk[]) => {
    if (block === undefined) return;
    if (block.type !== 'call') out.push({ type: 'thinking', block });
    // A call without arguments has no deltas, or only empty ones: its arguments are an object all the same.
    else if (!block.hasArguments)
      out.push({ type: 'tool_call', index: block.index, arguments: JSON.stringify(block.input ?? {}) });
  };

  /** A message begins, or stands whole in its beginning: with content, and why it ended. */
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
      closeBlock(open.get(index), out);
      open.delete(index);
    }
    stop(message.stop_reason);
  };
  const stop = (said: unknown) => {
    const reason = endReason(said);
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
          addTo(open.get(event.index), event.delta, out);
          return;
        case 'content_block_stop':
          closeBlock(open.get(event.index), out);
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

/** Whether a second `message_start` is the beginning of another message, rather than the same once more. */
export function isAnotherMessage(id: string | undefined, other: string | undefined): boolean {
  return typeof id === 'string' && typeof other === 'string' && id !== other;
}

/** Two answers in one stream: whatever comes now is no part of the first. */
export function toSplicedError(): CodelabError {
  return new ProviderError('PROVIDER_STREAM_LOST', 'The provider began another answer in the middle of one');
}

/** Anthropic's counts, as its events and its whole answers have them. */
export interface AnthropicUsage {
  input_tokens?: number | null;
  output_tokens?: number | null;
  cache_read_input_tokens?: number | null;
  cache_creation_input_tokens?: number | null;
  output_tokens_details?: { thinking_tokens?: number | null } | null;
}

/**
 * Anthropic's counts are totals so far, and its `input_tokens` leave out what was read from or written to the cache; ours
 * (like OpenAI's) have all of it in `inputTokens`.
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
