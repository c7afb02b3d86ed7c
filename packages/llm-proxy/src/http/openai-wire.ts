import { type CodelabError, type CompletionChunk, errorCatalogue, newId, type Usage } from '@codelab/protocol';

/** OpenAI's error body. Source: https://platform.openai.com/docs/guides/error-codes */
export function toOpenAiError(error: CodelabError) {
  const { status } = errorCatalogue[error.code];
  const type =
    status === 401
      ? 'authentication_error'
      : status === 429
        ? 'rate_limit_error'
        : status >= 500
          ? 'server_error'
          : 'invalid_request_error';
  return { error: { message: error.message, type, param: paramOf(error), code: toOpenAiCode(error) } };
}

function toOpenAiCode(error: CodelabError): string | null {
  switch (error.code) {
    case 'UNAUTHORIZED':
      return 'invalid_api_key';
    case 'MODEL_NOT_FOUND':
      return 'model_not_found';
    case 'CONTEXT_WINDOW_EXCEEDED':
      return 'context_length_exceeded';
    case 'CONTENT_FILTERED':
      return 'content_filter';
    case 'VALIDATION':
      return null;
    default:
      return error.code.toLowerCase();
  }
}

function paramOf(error: CodelabError): string | null {
  const [first] = Array.isArray(error.details) ? (error.details as Array<{ path?: unknown }>) : [];
  return typeof first?.path === 'string' && first.path !== '' ? first.path : null;
}

function toOpenAiUsage(usage: Usage) {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  };
}

interface Head {
  id: string;
  created: number;
  model: string;
}

function newHead(model: string): Head {
  return { id: newId('chatcmpl').replace('_', '-'), created: Math.floor(Date.now() / 1000), model };
}

/** The chunks of one answer as `chat.completion.chunk` objects. `error` is not for this: the caller ends the stream with it. */
export function createChunkWriter(options: { includeUsage: boolean }) {
  let head = newHead('');
  let usage: Usage | undefined;
  const chunk = (delta: object, finishReason: string | null = null) => ({
    id: head.id,
    object: 'chat.completion.chunk',
    created: head.created,
    model: head.model,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    ...(options.includeUsage ? { usage: null } : {}),
  });
  const seen = new Set<number>();
  return (event: Exclude<CompletionChunk, { type: 'error' }>): object[] => {
    switch (event.type) {
      case 'start':
        head = newHead(event.model);
        return [chunk({ role: 'assistant', content: '', refusal: null })];
      case 'text':
        return [chunk({ content: event.text })];
      case 'reasoning':
        return [chunk({ reasoning_content: event.text })];
      case 'tool_call': {
        const first = !seen.has(event.index);
        seen.add(event.index);
        const call = first
          ? {
              index: event.index,
              id: event.callId,
              type: 'function',
              function: { name: event.name, arguments: event.arguments },
            }
          : { index: event.index, function: { arguments: event.arguments } };
        return [chunk({ tool_calls: [call] })];
      }
      case 'usage':
        usage = event.usage;
        return [];
      case 'finish': {
        const last = chunk({}, event.finishReason);
        if (!options.includeUsage) return [last];
        return [last, { ...chunk({}), choices: [], usage: usage === undefined ? null : toOpenAiUsage(usage) }];
      }
    }
  };
}

/** One whole answer as a `chat.completion` object. */
export function createCompletionCollector() {
  let head = newHead('');
  let text = '';
  let reasoning = '';
  let usage: Usage | undefined;
  let finishReason = 'stop';
  const calls: Array<{ id: string; type: 'function'; function: { name: string; arguments: string } }> = [];
  return {
    add(event: Exclude<CompletionChunk, { type: 'error' }>): void {
      switch (event.type) {
        case 'start':
          head = newHead(event.model);
          break;
        case 'text':
          text += event.text;
          break;
        case 'reasoning':
          reasoning += event.text;
          break;
        case 'tool_call': {
          calls[event.index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } };
          const call = calls[event.index] as (typeof calls)[number];
          if (event.callId !== undefined) call.id = event.callId;
          if (event.name !== undefined) call.function.name = event.name;
          call.function.arguments += event.arguments;
          break;
        }
        case 'usage':
          usage = event.usage;
          break;
        case 'finish':
          finishReason = event.finishReason;
      }
    },
    result() {
      return {
        id: head.id,
        object: 'chat.completion',
        created: head.created,
        model: head.model,
        choices: [
          {
            index: 0,
            message: {
              role: 'assistant',
              content: text === '' && calls.length > 0 ? null : text,
              refusal: null,
              ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
              ...(calls.length === 0 ? {} : { tool_calls: calls.filter((call) => call !== undefined) }),
            },
            logprobs: null,
            finish_reason: finishReason,
          },
        ],
        ...(usage === undefined ? {} : { usage: toOpenAiUsage(usage) }),
      };
    },
  };
}
