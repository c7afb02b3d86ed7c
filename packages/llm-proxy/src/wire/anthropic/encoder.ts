import { type FinishReason, newId, noUsage, type ThinkingBlock, type Usage } from '@codelab/protocol';
import type { ProviderChunk } from '../../providers/provider.ts';

type ToolCall = Extract<ProviderChunk, { type: 'tool_call' }>;

/** Converts usage to Anthropic's fields. */
export function toAnthropicUsage({ inputTokens, outputTokens, cachedTokens, cacheWriteTokens }: Usage) {
  return {
    // Anthropic's input leaves out what was read from the cache or written to it.
    input_tokens: Math.max(0, inputTokens - cachedTokens - cacheWriteTokens),
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedTokens,
    output_tokens: outputTokens,
  };
}

/** Returns an event of Anthropic's stream. */
export function toAnthropicEvent(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

export function toStopReason(reason: FinishReason): string {
  switch (reason) {
    case 'stop':
      return 'end_turn';
    case 'length':
      return 'max_tokens';
    case 'tool_calls':
      return 'tool_use';
    case 'content_filter':
      return 'refusal';
  }
}

export function newMessage(model: string) {
  return {
    id: newId('msg'),
    type: 'message',
    role: 'assistant',
    model,
    content: [] as object[],
    stop_reason: null as string | null,
    stop_sequence: null,
  };
}

/** The content block that is being sent. */
interface OpenBlock {
  type: 'text' | 'thinking' | 'call';
  /** Index of the call. */
  number?: number;
  /** Arguments of the call so far. */
  text: string;
  signature?: string;
}

/**
 * Creates an encoder that turns chunks into the events of Anthropic's stream. `isOpen`: the client has received `message_start`.
 * Anthropic's blocks come one after the other, OpenAI's calls may be interleaved: chunks that come while a call's arguments are not whole
 * wait until the end.
 * Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming
 */
export function createAnthropicEncoder({ isOpen }: { isOpen: boolean }) {
  let index = -1;
  let open: OpenBlock | undefined;
  let usage: Usage = noUsage;
  let waiting: ProviderChunk[] = [];

  const start = (block: OpenBlock, content: object): string => {
    const closed = close();
    open = block;
    index++;
    return `${closed}${toAnthropicEvent('content_block_start', { index, content_block: content })}`;
  };
  const delta = (fields: object) => toAnthropicEvent('content_block_delta', { index, delta: fields });
  const close = (): string => {
    if (open === undefined) return '';
    const signature =
      open.type === 'thinking' && open.signature !== undefined
        ? delta({ type: 'signature_delta', signature: open.signature })
        : '';
    open = undefined;
    return `${signature}${toAnthropicEvent('content_block_stop', { index })}`;
  };

  const say = (type: 'text' | 'thinking', text: string): string => {
    const isText = type === 'text';
    const content = isText ? { type, text: '' } : { type, thinking: '', signature: '' };
    const begun = open?.type === type ? '' : start({ type, text: '' }, content);
    return `${begun}${delta(isText ? { type: 'text_delta', text } : { type: 'thinking_delta', thinking: text })}`;
  };

  const call = ({ index: number, callId, name, arguments: fragment }: ToolCall): string => {
    let text = '';
    if (open?.number !== number) {
      const block: OpenBlock = { type: 'call', number, text: '' };
      text = start(block, { type: 'tool_use', id: callId ?? newId('toolu'), name: name ?? '', input: {} });
    }
    if (open !== undefined) open.text += fragment;
    return fragment === '' ? text : `${text}${delta({ type: 'input_json_delta', partial_json: fragment })}`;
  };

  const think = (block: ThinkingBlock): string => {
    if (block.type === 'redacted_thinking') return `${start({ type: 'thinking', text: '' }, block)}${close()}`;
    const begun = open?.type === 'thinking' ? '' : say('thinking', block.thinking);
    if (open !== undefined) open.signature = block.signature;
    return `${begun}${close()}`;
  };

  /** True for a chunk that would cut the open call in two. */
  const mustWait = (chunk: ProviderChunk) =>
    open?.type === 'call' && !(chunk.type === 'tool_call' && chunk.index === open.number) && !isWhole(open.text);

  const write = (chunk: ProviderChunk): string => {
    switch (chunk.type) {
      case 'start':
        if (isOpen) return '';
        return toAnthropicEvent('message_start', {
          message: { ...newMessage(chunk.model), usage: toAnthropicUsage(noUsage) },
        });
      case 'usage':
        usage = chunk.usage;
        return '';
      case 'finish':
        return finish(chunk.finishReason);
    }
    // Once one has to wait, what comes after it waits as well, except for the rest of the open call.
    const isRest = chunk.type === 'tool_call' && open?.type === 'call' && chunk.index === open.number;
    if (!isRest && (waiting.length > 0 || mustWait(chunk))) {
      waiting.push(chunk);
      return '';
    }
    return send(chunk);
  };

  const send = (chunk: ProviderChunk): string => {
    if (chunk.type === 'text') return say('text', chunk.text);
    if (chunk.type === 'reasoning') return say('thinking', chunk.text);
    if (chunk.type === 'thinking') return think(chunk.block);
    return chunk.type === 'tool_call' ? call(chunk) : '';
  };

  const finish = (reason: FinishReason): string => {
    let text = '';
    for (const chunk of joinCalls(waiting)) text += send(chunk);
    waiting = [];
    text += close();
    text += toAnthropicEvent('message_delta', {
      delta: { stop_reason: toStopReason(reason), stop_sequence: null },
      usage: toAnthropicUsage(usage),
    });
    return `${text}${toAnthropicEvent('message_stop', {})}`;
  };

  return (chunks: ProviderChunk[]): string | undefined => {
    let text = '';
    for (const chunk of chunks) text += write(chunk);
    return text === '' ? undefined : text;
  };
}

/** Joins the fragments of each call, in the place of its first one. */
function joinCalls(chunks: ProviderChunk[]): ProviderChunk[] {
  const calls = new Map<number, ToolCall>();
  const out: ProviderChunk[] = [];
  for (const chunk of chunks) {
    const known = chunk.type === 'tool_call' ? calls.get(chunk.index) : undefined;
    if (chunk.type !== 'tool_call') out.push(chunk);
    else if (known !== undefined) known.arguments += chunk.arguments;
    else {
      const call = { ...chunk };
      calls.set(chunk.index, call);
      out.push(call);
    }
  }
  return out;
}

function isWhole(json: string): boolean {
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}
