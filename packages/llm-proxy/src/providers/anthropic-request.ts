import type Anthropic from '@anthropic-ai/sdk';
import { CodelabError, type CompletionMessage, type CompletionRequest } from '@codelab/protocol';

type Block = Anthropic.ContentBlockParam;
type Message = Anthropic.MessageParam;
type UserBlock = Anthropic.TextBlockParam | Anthropic.ImageBlockParam;

const MAX_TOKENS = 8192;
/** The models of the first Claude 3 family write no more. */
const MAX_TOKENS_CLAUDE_3 = 4096;

/**
 * A request of OpenAI's wire as one of Anthropic's. Throws `VALIDATION` for what can't be said there.
 * Source: https://docs.anthropic.com/en/api/messages
 */
export function toAnthropicRequest(request: CompletionRequest): Anthropic.MessageCreateParamsStreaming {
  const system = request.messages.filter(({ role }) => role === 'system' || role === 'developer').map(textOf);
  const tools = request.tools?.map((tool) => ({
    name: tool.function.name,
    ...(tool.function.description === undefined ? {} : { description: tool.function.description }),
    input_schema: { type: 'object' as const, ...tool.function.parameters },
  }));
  const choice = toToolChoice(request.tool_choice, request.parallel_tool_calls);
  const stop = typeof request.stop === 'string' ? [request.stop] : request.stop;
  return {
    model: request.model,
    stream: true,
    max_tokens: request.max_completion_tokens ?? request.max_tokens ?? defaultMaxTokens(request.model),
    messages: toMessages(request.messages),
    ...(system.length === 0 ? {} : { system: system.join('\n\n') }),
    // OpenAI's scale ends at 2, Anthropic's at 1.
    ...(request.temperature == null ? {} : { temperature: Math.min(1, request.temperature) }),
    ...(typeof request.top_p === 'number' ? { top_p: request.top_p } : {}),
    ...(Array.isArray(stop) ? { stop_sequences: stop.map(String) } : {}),
    ...(tools === undefined || tools.length === 0
      ? {}
      : { tools, ...(choice === undefined ? {} : { tool_choice: choice }) }),
    ...(typeof request.user === 'string' ? { metadata: { user_id: request.user } } : {}),
  };
}

function defaultMaxTokens(model: string): number {
  return /^claude-3-(opus|sonnet|haiku)-/.test(model) ? MAX_TOKENS_CLAUDE_3 : MAX_TOKENS;
}

/** Neighbours of one role become one message: Anthropic wants user and assistant to alternate, and all results of a turn together. */
function toMessages(messages: CompletionMessage[]): Message[] {
  const merged: Array<{ role: 'user' | 'assistant'; content: Block[] }> = [];
  for (const message of messages) {
    if (message.role === 'system' || message.role === 'developer') continue;
    const role = message.role === 'assistant' ? 'assistant' : 'user';
    const content = toBlocks(message);
    if (content.length === 0) continue;
    const last = merged.at(-1);
    if (last?.role === role) last.content.push(...content);
    else merged.push({ role, content });
  }
  return merged;
}

function toBlocks(message: CompletionMessage): Block[] {
  if (message.role === 'tool') {
    const content = toUserBlocks(message.content);
    return [{ type: 'tool_result', tool_use_id: message.tool_call_id, content }];
  }
  if (message.role !== 'assistant') return toUserBlocks(message.content);
  const text = textOf(message);
  const calls = (message.tool_calls ?? []).map(
    (call): Block => ({
      type: 'tool_use',
      id: call.id,
      name: call.function.name,
      input: parseArguments(call.function.arguments, call.function.name),
    }),
  );
  return [...(text.trim() === '' ? [] : [{ type: 'text' as const, text }]), ...calls];
}

function toUserBlocks(content: CompletionMessage['content']): UserBlock[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return (content ?? []).flatMap((part): UserBlock[] => {
    if (part.type === 'text' && typeof part.text === 'string')
      return part.text === '' ? [] : [{ type: 'text', text: part.text }];
    if (part.type === 'image_url') return [toImage((part as { image_url?: { url?: unknown } }).image_url?.url)];
    throw new CodelabError('VALIDATION', `Anthropic's wire has no content part of the type "${part.type}".`);
  });
}

function toImage(url: unknown): Anthropic.ImageBlockParam {
  if (typeof url !== 'string') throw new CodelabError('VALIDATION', 'image_url.url must be a string.');
  const [, type, data] = /^data:(image\/(?:jpeg|png|gif|webp));base64,(.+)$/s.exec(url) ?? [];
  if (data !== undefined) {
    return { type: 'image', source: { type: 'base64', media_type: type as 'image/png', data } };
  }
  if (/^https?:\/\//.test(url)) return { type: 'image', source: { type: 'url', url } };
  throw new CodelabError(
    'VALIDATION',
    'image_url.url must be an http(s) URL, or a data: URL of a JPEG, PNG, GIF or WebP in base64.',
  );
}

function parseArguments(text: string, name: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CodelabError('VALIDATION', `The arguments of the call of ${name} are not JSON.`, { cause });
  }
}

function toToolChoice(choice: unknown, parallel: unknown): Anthropic.ToolChoice | undefined {
  const disable = parallel === false ? { disable_parallel_tool_use: true } : {};
  if (choice === 'none') return { type: 'none' };
  if (choice === 'required') return { type: 'any', ...disable };
  const name = (choice as { function?: { name?: unknown } } | undefined)?.function?.name;
  if (typeof name === 'string') return { type: 'tool', name, ...disable };
  return choice === 'auto' || parallel === false ? { type: 'auto', ...disable } : undefined;
}

function textOf(message: CompletionMessage): string {
  const { content } = message;
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part && typeof part.text === 'string' ? part.text : '')).join('');
}
