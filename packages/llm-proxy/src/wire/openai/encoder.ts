import { newId, type ThinkingBlock, type Usage } from '@codelab/protocol';
import type { ProviderChunk } from '../../providers/provider.ts';

function toOpenAiUsage(usage: Usage) {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens, cache_write_tokens: usage.cacheWriteTokens },
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

/**
 * Creates an encoder that turns chunks into the events of OpenAI's stream. `isOpen`: the client has received the first event.
 * Source: https://platform.openai.com/docs/api-reference/chat-streaming
 */
export function createOpenAiEncoder(options: { includeUsage: boolean; isOpen: boolean }) {
  const end = options.includeUsage ? ',"usage":null}\n\n' : '}\n\n';
  let before = '';
  let usage: Usage | undefined;
  const seen = new Set<number>();
  const open = (model: string) => {
    const { id, created } = newHead(model);
    const head = JSON.stringify({ id, object: 'chat.completion.chunk', created, model });
    before = `data: ${head.slice(0, -1)},"choices":[{"index":0,"delta":`;
  };
  const event = (delta: string, reason = 'null') =>
    `${before}${delta},"logprobs":null,"finish_reason":${reason}}]${end}`;

  const write = (chunk: ProviderChunk): string => {
    switch (chunk.type) {
      case 'start':
        open(chunk.model);
        return options.isOpen ? '' : event('{"role":"assistant","content":"","refusal":null}');
      case 'text':
        return event(`{"content":${JSON.stringify(chunk.text)}}`);
      case 'reasoning':
        return event(`{"reasoning_content":${JSON.stringify(chunk.text)}}`);
      case 'thinking':
        return event(JSON.stringify({ thinking_blocks: [chunk.block] }));
      case 'tool_call': {
        const { index, callId: id, name, arguments: fragment } = chunk;
        const isFirst = !seen.has(index);
        seen.add(index);
        const call = isFirst
          ? { index, id, type: 'function', function: { name, arguments: fragment } }
          : { index, function: { arguments: fragment } };
        return event(JSON.stringify({ tool_calls: [call] }));
      }
      case 'usage':
        usage = chunk.usage;
        return '';
      case 'finish': {
        const last = event('{}', JSON.stringify(chunk.finishReason));
        const counts = usage === undefined ? null : toOpenAiUsage(usage);
        const total = options.includeUsage
          ? `${before.slice(0, before.indexOf('"choices":'))}"choices":[],"usage":${JSON.stringify(counts)}}\n\n`
          : '';
        return `${last}${total}data: [DONE]\n\n`;
      }
    }
  };
  return (chunks: ProviderChunk[]): string | undefined => {
    let text = '';
    for (const chunk of chunks) text += write(chunk);
    return text === '' ? undefined : text;
  };
}

/** Creates a collector that turns chunks into one `chat.completion` object. */
export function createOpenAiCollector() {
  let head = newHead('');
  let text = '';
  let reasoning = '';
  let usage: Usage | undefined;
  let finishReason = 'stop';
  const thinking: ThinkingBlock[] = [];
  const calls: Array<{ id: string; type: 'function'; function: { name: string; arguments: string } }> = [];
  return {
    add(chunk: ProviderChunk): void {
      switch (chunk.type) {
        case 'start':
          head = newHead(chunk.model);
          break;
        case 'text':
          text += chunk.text;
          break;
        case 'reasoning':
          reasoning += chunk.text;
          break;
        case 'thinking':
          thinking.push(chunk.block);
          break;
        case 'tool_call': {
          calls[chunk.index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } };
          const call = calls[chunk.index] as (typeof calls)[number];
          if (chunk.callId !== undefined) call.id = chunk.callId;
          if (chunk.name !== undefined) call.function.name = chunk.name;
          call.function.arguments += chunk.arguments;
          break;
        }
        case 'usage':
          usage = chunk.usage;
          break;
        case 'finish':
          finishReason = chunk.finishReason;
      }
    },
    result(): string {
      return JSON.stringify({
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
              ...(thinking.length === 0 ? {} : { thinking_blocks: thinking }),
              ...(calls.length === 0 ? {} : { tool_calls: calls.filter((call) => call !== undefined) }),
            },
            logprobs: null,
            finish_reason: finishReason,
          },
        ],
        ...(usage === undefined ? {} : { usage: toOpenAiUsage(usage) }),
      });
    },
  };
}
