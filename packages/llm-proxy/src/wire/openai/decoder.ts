import { type FinishReason, newId } from '@codelab/protocol';
import type { ChatCompletionChunk, CompletionUsage } from 'openai/resources';
import type { CountedUsage, ProviderChunk } from '../../providers/provider.ts';
import type { ChunkDecoder } from '../chunk-reader.ts';
import { endReason, finishReasonOf } from '../end-reason.ts';
import { toCount } from '../token-estimate.ts';

/** A delta, with the fields that other servers of OpenAI's wire add. */
type Delta = Omit<ChatCompletionChunk.Choice.Delta, 'content'> & {
  content?: unknown;
  /** Reasoning of DeepSeek, vLLM, LiteLLM. */
  reasoning_content?: unknown;
  /** Reasoning of OpenRouter, Ollama. */
  reasoning?: unknown;
};

/**
 * Creates a decoder of `chat.completion.chunk` objects; of several choices it decodes the first.
 * Source: https://platform.openai.com/docs/api-reference/chat-streaming
 */
export function createOpenAiDecoder(provider: string, model: string): ChunkDecoder {
  let isStarted = false;
  let finishReason: FinishReason | undefined;
  let refused = false;
  let usage: CountedUsage | undefined;
  let calls = 0;
  /** Calls by the provider's index. */
  const known = new Map<number, { number: number; id: string | undefined }>();

  const numberOf = (index: number, id: string | undefined, isNamed: boolean): { number: number; isNew: boolean } => {
    const call = known.get(index);
    // Gemini gives every call the index 0: another id with a name is another call.
    if (call !== undefined && !(isNamed && id !== undefined && id !== call.id))
      return { number: call.number, isNew: false };
    const number = calls++;
    known.set(index, { number, id });
    return { number, isNew: true };
  };

  const decodeDelta = (delta: Delta, out: ProviderChunk[]) => {
    const reasoning = delta.reasoning_content ?? delta.reasoning;
    if (typeof reasoning === 'string' && reasoning !== '') out.push({ type: 'reasoning', text: reasoning });
    if (typeof delta.content === 'string') {
      if (delta.content !== '') out.push({ type: 'text', text: delta.content });
    } else if (Array.isArray(delta.content)) decodeParts(delta.content, out);
    if (typeof delta.refusal === 'string' && delta.refusal !== '') {
      refused = true;
      out.push({ type: 'text', text: delta.refusal });
    }
    for (const [position, call] of (delta.tool_calls ?? []).entries()) {
      const id = call.id || undefined;
      const name = call.function?.name || undefined;
      // Mistral sends no index where there is one call.
      const { number, isNew } = numberOf(call.index ?? position, id, name !== undefined);
      out.push({
        type: 'tool_call',
        index: number,
        ...(isNew ? { callId: id ?? newId('call') } : {}),
        ...(isNew && name !== undefined ? { name } : {}),
        arguments: call.function?.arguments ?? '',
      });
    }
  };

  return {
    decode(payload, out) {
      const chunk = payload as Partial<ChatCompletionChunk>;
      if (!isStarted) {
        isStarted = true;
        out.push({ type: 'start', model: chunk.model ?? model, provider });
      }
      if (chunk.usage != null) usage = toCountedUsage(chunk.usage) ?? usage;
      const choice = chunk.choices?.find(({ index }) => (index ?? 0) === 0);
      if (choice === undefined) return;
      if (choice.delta != null) decodeDelta(choice.delta, out);
      const reason = endReason(choice.finish_reason);
      if (reason !== undefined) finishReason = finishReasonOf(reason);
    },
    isComplete: () => false,
    finishReason() {
      if (finishReason !== 'stop') return finishReason;
      // Some say "stop" after tool calls too, OpenAI itself where the tool was forced.
      return calls > 0 ? 'tool_calls' : refused ? 'content_filter' : 'stop';
    },
    usage: () => usage,
  };
}

/** Decodes Mistral's content in parts: texts, and thinking that is itself a list of texts. */
function decodeParts(parts: unknown[], out: ProviderChunk[]): void {
  for (const part of parts as Array<Record<string, unknown>>) {
    if (part.type === 'text' && typeof part.text === 'string') out.push({ type: 'text', text: part.text });
    if (part.type !== 'thinking' || !Array.isArray(part.thinking)) continue;
    for (const { text } of part.thinking as Array<{ text?: unknown }>) {
      if (typeof text === 'string' && text !== '') out.push({ type: 'reasoning', text });
    }
  }
}

/** Converts OpenAI's usage, where cached tokens are part of the prompt's, reasoning tokens of the completion's. Undefined if it has no counts. */
export function toCountedUsage(usage: Partial<CompletionUsage>): CountedUsage | undefined {
  const { prompt_tokens: input, completion_tokens: output } = usage;
  if (input == null && output == null) return undefined;
  return {
    inputTokens: toCount(input),
    outputTokens: toCount(output),
    cachedTokens: toCount(usage.prompt_tokens_details?.cached_tokens),
    reasoningTokens: toCount(usage.completion_tokens_details?.reasoning_tokens),
    cacheWriteTokens: toCount(usage.prompt_tokens_details?.cache_write_tokens),
    isEstimated: false,
  };
}
