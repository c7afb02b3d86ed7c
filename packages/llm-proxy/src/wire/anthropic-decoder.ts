import type Anthropic from '@anthropic-ai/sdk';
import type { FinishReason, ThinkingBlock } from '@codelab/protocol';
import type { CountedUsage, ProviderChunk } from '../providers/provider.ts';
import type { ChunkDecoder } from './chunk-reader.ts';

/** The block that is open at an index. */
type OpenBlock = { type: 'call'; index: number; input: unknown; hasArguments: boolean } | ThinkingBlock;

/**
 * Anthropic's events as chunks. Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming
 * Tool calls are numbered among themselves, whatever text stands between them; unknown events and blocks are passed over.
 */
export function createAnthropicDecoder(provider: string): ChunkDecoder {
  let isStarted = false;
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

  return {
    decode(payload, out) {
      const event = payload as Anthropic.RawMessageStreamEvent;
      switch (event.type) {
        case 'message_start':
          if (isStarted) return;
          isStarted = true;
          usage = mergeUsage(usage, event.message.usage);
          out.push({ type: 'start', model: event.message.model, provider });
          return;
        case 'content_block_start':
          openBlock(event.index, event.content_block, out);
          return;
        case 'content_block_delta':
          addTo(open.get(event.index), event.delta, out);
          return;
        case 'content_block_stop':
          closeBlock(open.get(event.index), out);
          open.delete(event.index);
          return;
        case 'message_delta':
          usage = mergeUsage(usage, event.usage);
          if (event.delta?.stop_reason != null) finishReason = toFinishReason(event.delta.stop_reason);
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
  if (now == null) return before;
  const cachedTokens = now.cache_read_input_tokens ?? 0;
  const cacheWriteTokens = now.cache_creation_input_tokens ?? 0;
  const inputTokens = (now.input_tokens ?? 0) + cachedTokens + cacheWriteTokens;
  const hasInput = now.input_tokens != null && (inputTokens > 0 || before === undefined);
  return {
    inputTokens: hasInput ? inputTokens : (before?.inputTokens ?? 0),
    outputTokens: now.output_tokens ?? before?.outputTokens ?? 0,
    cachedTokens: hasInput ? cachedTokens : (before?.cachedTokens ?? 0),
    reasoningTokens: now.output_tokens_details?.thinking_tokens ?? before?.reasoningTokens ?? 0,
    cacheWriteTokens: hasInput ? cacheWriteTokens : (before?.cacheWriteTokens ?? 0),
    isEstimated: false,
  };
}

function toFinishReason(reason: string): FinishReason {
  switch (reason) {
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length';
    case 'tool_use':
      return 'tool_calls';
    case 'refusal':
      return 'content_filter';
    default:
      return 'stop';
  }
}
