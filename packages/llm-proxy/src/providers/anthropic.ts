import Anthropic from '@anthropic-ai/sdk';
import { CodelabError, type CompletionRequest, type FinishReason, type Usage } from '@codelab/protocol';
import { toAnthropicRequest } from './anthropic-request.ts';
import type { Provider, ProviderChunk } from './provider.ts';
import { toProviderError } from './provider-error.ts';

export interface AnthropicOptions {
  apiKey: string;
  /** Without the `/v1`, as the official package takes it. */
  baseUrl: string | undefined;
}

const names = {
  name: 'Anthropic',
  keyVariable: 'LLM_PROXY__ANTHROPIC_API_KEY',
  urlVariable: 'LLM_PROXY__ANTHROPIC_BASE_URL',
};

/** Anthropic, or a server that speaks its wire, through the official package. */
export function createAnthropicProvider({ apiKey, baseUrl }: AnthropicOptions): Provider {
  const client = new Anthropic({
    apiKey,
    authToken: null,
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl }),
    maxRetries: 0,
    timeout: 60_000,
    logLevel: 'off',
  });
  return {
    id: 'anthropic',
    async models(signal) {
      try {
        const page = await client.models.list({ limit: 1000 }, { signal });
        return page.data.map(({ id }) => id);
      } catch (error) {
        throw toProviderError(error, names, false);
      }
    },
    stream: (request, signal) => streamMessages(client, request, signal),
  };
}

async function* streamMessages(
  client: Anthropic,
  request: CompletionRequest,
  signal: AbortSignal,
): AsyncGenerator<ProviderChunk> {
  const reader = createEventReader();
  try {
    const body = toAnthropicRequest(request);
    for await (const event of await client.messages.create(body, { signal })) yield* reader.push(event);
  } catch (error) {
    throw toProviderError(error, names, reader.started());
  }
  yield* reader.end();
}

/**
 * Anthropic's events as chunks. Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming
 * Tool calls are numbered among themselves, whatever text stands between them; unknown events and blocks are passed over.
 */
function createEventReader() {
  let started = false;
  let finishReason: FinishReason | undefined;
  let usage: Usage = { inputTokens: 0, outputTokens: 0, cachedTokens: 0, reasoningTokens: 0 };
  let calls = 0;
  /** By the index of their content block. */
  const open = new Map<number, { index: number; input: unknown; hasArguments: boolean }>();

  function* push(event: Anthropic.RawMessageStreamEvent): Generator<ProviderChunk> {
    switch (event.type) {
      case 'message_start':
        if (started) return;
        started = true;
        usage = mergeUsage(usage, event.message.usage);
        yield { type: 'start', model: event.message.model, provider: 'anthropic' };
        return;
      case 'content_block_start': {
        const block = event.content_block;
        if (block.type === 'text' && block.text) yield { type: 'text', text: block.text };
        if (block.type === 'thinking' && block.thinking) yield { type: 'reasoning', text: block.thinking };
        if (block.type !== 'tool_use') return;
        const index = calls++;
        open.set(event.index, { index, input: block.input, hasArguments: false });
        yield { type: 'tool_call', index, callId: block.id, name: block.name, arguments: '' };
        return;
      }
      case 'content_block_delta': {
        const { delta } = event;
        if (delta.type === 'text_delta') yield { type: 'text', text: delta.text };
        if (delta.type === 'thinking_delta') yield { type: 'reasoning', text: delta.thinking };
        const call = open.get(event.index);
        if (delta.type !== 'input_json_delta' || call === undefined || delta.partial_json === '') return;
        call.hasArguments = true;
        yield { type: 'tool_call', index: call.index, arguments: delta.partial_json };
        return;
      }
      case 'content_block_stop': {
        const call = open.get(event.index);
        open.delete(event.index);
        // A call without arguments has no deltas, or only empty ones: its arguments are an object all the same.
        if (call !== undefined && !call.hasArguments)
          yield { type: 'tool_call', index: call.index, arguments: JSON.stringify(call.input ?? {}) };
        return;
      }
      case 'message_delta':
        if (event.usage != null) usage = mergeUsage(usage, event.usage);
        if (event.delta.stop_reason != null) finishReason = toFinishReason(event.delta.stop_reason);
    }
  }

  return {
    push,
    started: () => started,
    *end(): Generator<ProviderChunk> {
      if (finishReason === undefined)
        throw new CodelabError('PROVIDER_STREAM_LOST', 'Anthropic ended the stream before the answer was complete.');
      yield { type: 'usage', usage };
      yield { type: 'finish', finishReason };
    },
  };
}

interface AnthropicUsage {
  input_tokens?: number | null;
  output_tokens?: number | null;
  cache_read_input_tokens?: number | null;
  cache_creation_input_tokens?: number | null;
}

/**
 * Anthropic's counts are totals so far, and its `input_tokens` leave out what was read from or written to the cache; ours
 * (like OpenAI's) have all of it in `inputTokens`.
 */
function mergeUsage(before: Usage, now: AnthropicUsage): Usage {
  const hasInput = now.input_tokens != null;
  const cached = now.cache_read_input_tokens ?? 0;
  return {
    inputTokens: hasInput
      ? (now.input_tokens ?? 0) + cached + (now.cache_creation_input_tokens ?? 0)
      : before.inputTokens,
    outputTokens: now.output_tokens ?? before.outputTokens,
    cachedTokens: hasInput ? cached : before.cachedTokens,
    reasoningTokens: 0,
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
