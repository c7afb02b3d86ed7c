import { CodelabError, type CompletionRequest, FinishReason, type Usage } from '@codelab/protocol';
import OpenAI from 'openai';
import type { ChatCompletionChunk, ChatCompletionCreateParamsStreaming, CompletionUsage } from 'openai/resources';
import type { Provider, ProviderChunk } from './provider.ts';
import { type ProviderNames, toProviderError } from './provider-error.ts';

export interface OpenAiOptions {
  /** The part before the slash in its models' names: `openai`, `ollama`, … */
  id: string;
  names: ProviderNames;
  apiKey: string;
  /** With the `/v1`, as the official package takes it. */
  baseUrl: string | undefined;
}

/** OpenAI, or a server that speaks its wire, through the official package. */
export function createOpenAiProvider({ id, names, apiKey, baseUrl }: OpenAiOptions): Provider {
  const client = new OpenAI({
    apiKey,
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl }),
    maxRetries: 0,
    timeout: 60_000,
    // Only what our own settings say, never the package's own variables.
    organization: null,
    project: null,
    logLevel: 'off',
  });
  return {
    id,
    async models(signal) {
      try {
        const page = await client.models.list({ signal });
        return page.data.map((model) => model.id);
      } catch (error) {
        throw toProviderError(error, names, false);
      }
    },
    stream: (request, signal) => streamChat({ client, id, names }, request, signal),
  };
}

async function* streamChat(
  { client, id, names }: { client: OpenAI; id: string; names: ProviderNames },
  request: CompletionRequest,
  signal: AbortSignal,
): AsyncGenerator<ProviderChunk> {
  let started = false;
  let finishReason: FinishReason | undefined;
  let usage: Usage | undefined;
  try {
    const body = { ...request, stream: true, stream_options: { include_usage: true } };
    const chunks = await client.chat.completions.create(body as unknown as ChatCompletionCreateParamsStreaming, {
      signal,
    });
    for await (const chunk of chunks) {
      if (!started) {
        started = true;
        yield { type: 'start', model: chunk.model ?? request.model, provider: id };
      }
      const choice = chunk.choices?.[0];
      if (choice !== undefined) {
        yield* toChunks(choice.delta);
        if (choice.finish_reason != null) finishReason = toFinishReason(choice.finish_reason);
      }
      if (chunk.usage != null) usage = toUsage(chunk.usage);
    }
  } catch (error) {
    throw toProviderError(error, names, started);
  }
  if (finishReason === undefined)
    throw new CodelabError('PROVIDER_STREAM_LOST', `${names.name} ended the stream before the answer was complete.`);
  if (usage !== undefined) yield { type: 'usage', usage };
  yield { type: 'finish', finishReason };
}

function* toChunks(
  delta: ChatCompletionChunk.Choice.Delta & { reasoning_content?: unknown },
): Generator<ProviderChunk> {
  if (typeof delta.reasoning_content === 'string' && delta.reasoning_content !== '')
    yield { type: 'reasoning', text: delta.reasoning_content };
  if (typeof delta.content === 'string' && delta.content !== '') yield { type: 'text', text: delta.content };
  if (typeof delta.refusal === 'string' && delta.refusal !== '') yield { type: 'text', text: delta.refusal };
  for (const [position, call] of (delta.tool_calls ?? []).entries()) {
    yield {
      type: 'tool_call',
      // Mistral sends no index where there is one call.
      index: call.index ?? position,
      ...(call.id ? { callId: call.id } : {}),
      ...(call.function?.name ? { name: call.function.name } : {}),
      arguments: call.function?.arguments ?? '',
    };
  }
}

function toFinishReason(reason: string): FinishReason {
  if (reason === 'function_call') return 'tool_calls';
  const known = FinishReason.safeParse(reason);
  return known.success ? known.data : 'stop';
}

function toUsage(usage: CompletionUsage): Usage {
  return {
    inputTokens: usage.prompt_tokens ?? 0,
    outputTokens: usage.completion_tokens ?? 0,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    reasoningTokens: usage.completion_tokens_details?.reasoning_tokens ?? 0,
  };
}
