import { CodelabError, type CompletionRequest, FinishReason, type Usage } from '@codelab/protocol';
import OpenAI, { APIConnectionError, APIError, APIUserAbortError } from 'openai';
import type { ChatCompletionChunk, ChatCompletionCreateParamsStreaming, CompletionUsage } from 'openai/resources';
import type { Provider, ProviderChunk } from './provider.ts';

export interface OpenAiOptions {
  apiKey: string;
  /** With the `/v1`, as the official package takes it. */
  baseUrl: string | undefined;
}

/** OpenAI, or a server that speaks its wire, through the official package. */
export function createOpenAiProvider(options: OpenAiOptions): Provider {
  const client = new OpenAI({
    apiKey: options.apiKey,
    ...(options.baseUrl === undefined ? {} : { baseURL: options.baseUrl }),
    maxRetries: 0,
    timeout: 60_000,
    // Only what our own settings say, never the package's own variables.
    organization: null,
    project: null,
    logLevel: 'off',
  });
  return {
    id: 'openai',
    async models(signal) {
      try {
        const page = await client.models.list({ signal });
        return page.data.map(({ id }) => id);
      } catch (error) {
        throw toProviderError(error, false);
      }
    },
    stream: (request, signal) => streamChat(client, request, signal),
  };
}

async function* streamChat(
  client: OpenAI,
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
        yield { type: 'start', model: chunk.model ?? request.model, provider: 'openai' };
      }
      const choice = chunk.choices?.[0];
      if (choice !== undefined) {
        yield* toChunks(choice.delta);
        if (choice.finish_reason != null) finishReason = toFinishReason(choice.finish_reason);
      }
      if (chunk.usage != null) usage = toUsage(chunk.usage);
    }
  } catch (error) {
    throw toProviderError(error, started);
  }
  if (finishReason === undefined)
    throw new CodelabError('PROVIDER_STREAM_LOST', 'OpenAI ended the stream before the answer was complete.');
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

/** `started`: whether a part of the answer had come already. */
function toProviderError(error: unknown, started: boolean): unknown {
  if (error instanceof CodelabError || error instanceof APIUserAbortError) return error;
  if (started)
    return new CodelabError('PROVIDER_STREAM_LOST', `OpenAI's stream broke: ${messageOf(error)}`, { cause: error });
  if (error instanceof APIError && error.status !== undefined) return toStatusError(error, error.status);
  if (error instanceof APIConnectionError)
    return new CodelabError(
      'PROVIDER_UNAVAILABLE',
      'OpenAI cannot be reached. Check the network and LLM_PROXY__OPENAI_BASE_URL.',
      { cause: error },
    );
  return new CodelabError('PROVIDER_UNAVAILABLE', `OpenAI's answer could not be read: ${messageOf(error)}`, {
    cause: error,
  });
}

function toStatusError(error: APIError, status: number): CodelabError {
  const said = `OpenAI answered ${status}: ${messageOf(error)}`;
  const options = { cause: error, retryAfterMs: retryAfterOf(error) };
  if (error.code === 'context_length_exceeded') return new CodelabError('CONTEXT_WINDOW_EXCEEDED', said, options);
  if (error.code === 'content_filter' || error.code === 'content_policy_violation')
    return new CodelabError('CONTENT_FILTERED', said, options);
  if (status === 401 || status === 403)
    return new CodelabError('PROVIDER_AUTH', `${said} Check LLM_PROXY__OPENAI_API_KEY.`, options);
  if (status === 404) return new CodelabError('MODEL_NOT_FOUND', said, options);
  if (status === 413) return new CodelabError('PAYLOAD_TOO_LARGE', said, options);
  if (status === 429) return new CodelabError('PROVIDER_RATE_LIMIT', said, options);
  if (status === 400 || status === 422) return new CodelabError('VALIDATION', said, options);
  return new CodelabError('PROVIDER_UNAVAILABLE', said, options);
}

function retryAfterOf(error: APIError): number | undefined {
  const seconds = Number(error.headers?.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.round(seconds * 1000) : undefined;
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.slice(0, 500);
}
