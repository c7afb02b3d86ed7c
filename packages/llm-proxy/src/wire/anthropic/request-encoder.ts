import type Anthropic from '@anthropic-ai/sdk';
import { CodelabError, type CompletionMessage, type CompletionRequest } from '@codelab/protocol';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from '@codelab/service-kit';
import type { PromptCache } from '../../providers/provider.ts';
import { isAdaptive, type Thinking, toThinking } from './effort.ts';

type Block = Anthropic.ContentBlockParam;
type Message = Anthropic.MessageParam;
type UserBlock = Anthropic.TextBlockParam | Anthropic.ImageBlockParam | Anthropic.DocumentBlockParam;

const MAX_TOKENS = 8192;
/** Output limit of the first Claude 3 family. */
const MAX_TOKENS_CLAUDE_3 = 4096;
/** Of models that choose themselves how much they think: thinking counts as output. */
const MAX_TOKENS_ADAPTIVE = 32_000;

/**
 * Converts a request of OpenAI's wire to Anthropic's. Throws `VALIDATION` if it cannot be expressed there.
 * Source: https://docs.anthropic.com/en/api/messages
 */
export function encodeAnthropicRequest(
  request: CompletionRequest,
  model: string,
  promptCache: PromptCache | undefined,
): Anthropic.MessageCreateParamsStreaming {
  const body = encode(request, model);
  return promptCache === undefined ? body : withBreakpoints(body, promptCache);
}

/**
 * Marks the ends of the parts that the next request of the session begins with as well: the tools, the instructions, and the two newest
 * turns. The older of the two is where the request before this one ended: it is found there however many blocks have come since.
 * Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
 */
function withBreakpoints(
  body: Anthropic.MessageCreateParamsStreaming,
  { ttl }: PromptCache,
): Anthropic.MessageCreateParamsStreaming {
  const mark = { cache_control: { type: 'ephemeral' as const, ...(ttl === '5m' ? {} : { ttl }) } };
  const turns = body.messages.flatMap(({ role }, index) => (role === 'user' ? index : [])).slice(-2);
  return {
    ...body,
    ...(body.tools === undefined ? {} : { tools: withLast(body.tools, mark) }),
    ...(typeof body.system === 'string' ? { system: [{ type: 'text', text: body.system, ...mark }] } : {}),
    messages: body.messages.map((message, index) =>
      message.role === 'user' && turns.includes(index) && Array.isArray(message.content)
        ? { ...message, content: withLast(message.content, mark) }
        : message,
    ),
  };
}

/** Returns the list with fields added to its last element. */
function withLast<T extends object>(list: T[], fields: object): T[] {
  return list.map((each, index) => (index === list.length - 1 ? { ...each, ...fields } : each));
}

function encode(request: CompletionRequest, model: string): Anthropic.MessageCreateParamsStreaming {
  const system = request.messages.filter(({ role }) => role === 'system' || role === 'developer').map(textOf);
  const format = request.response_format as { type?: unknown; json_schema?: { schema?: unknown } } | null | undefined;
  // Anthropic has no mode for JSON without a schema.
  if (format?.type === 'json_object') system.push('Answer with one JSON object and nothing else.');
  const schema = format?.type === 'json_schema' ? format.json_schema?.schema : undefined;
  const tools = request.tools?.map((tool) => ({
    name: tool.function.name,
    ...(tool.function.description == null ? {} : { description: tool.function.description }),
    input_schema: { type: 'object' as const, ...tool.function.parameters },
  }));
  const choice = toToolChoice(request.tool_choice, request.parallel_tool_calls);
  const { thinking, effort } = thinkingOf(request, model, choice);
  const isThinking = thinking !== undefined && thinking.type !== 'disabled';
  const stop = typeof request.stop === 'string' ? [request.stop] : request.stop;
  const asked = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  return {
    model,
    stream: true,
    max_tokens: maxTokens(asked, model, thinking),
    messages: toMessages(request.messages),
    ...(system.length === 0 ? {} : { system: system.join('\n\n') }),
    // OpenAI's scale ends at 2, Anthropic's at 1; while it thinks it takes none.
    ...(request.temperature == null || isThinking ? {} : { temperature: Math.min(1, request.temperature) }),
    ...(typeof request.top_p === 'number' && !isThinking ? { top_p: request.top_p } : {}),
    ...(typeof request.top_k === 'number' && !isThinking ? { top_k: request.top_k } : {}),
    ...(Array.isArray(stop) && stop.length > 0 ? { stop_sequences: stop.map(String) } : {}),
    ...(tools === undefined || tools.length === 0
      ? {}
      : { tools, ...(choice === undefined ? {} : { tool_choice: choice }) }),
    ...(thinking === undefined ? {} : { thinking }),
    ...(schema === undefined && effort === undefined
      ? {}
      : {
          output_config: {
            ...(effort === undefined ? {} : { effort }),
            ...(schema === undefined
              ? {}
              : { format: { type: 'json_schema', schema: schema as Record<string, unknown> } }),
          },
        }),
    ...(typeof request.user === 'string' ? { metadata: { user_id: request.user } } : {}),
  };
}

/** Returns Anthropic's own `thinking`, or what OpenAI's `reasoning_effort` means to the model. */
function thinkingOf(request: CompletionRequest, model: string, choice: Anthropic.ToolChoice | undefined): Thinking {
  if (typeof request.thinking === 'object' && request.thinking !== null)
    return { thinking: request.thinking as Anthropic.ThinkingConfigParam };
  const isToolForced = choice?.type === 'any' || choice?.type === 'tool';
  return toThinking(request.reasoning_effort, { model, isToolForced, lacksThinking: lacksThinking(request.messages) });
}

/** True if the tool calls since the last question have no thinking before them. */
function lacksThinking(messages: CompletionMessage[]): boolean {
  const asked = messages.findLastIndex(({ role }) => role === 'user');
  return messages
    .slice(asked + 1)
    .some(
      (message) =>
        message.role === 'assistant' && (message.tool_calls ?? []).length > 0 && !message.thinking_blocks?.length,
    );
}

/** Returns the output limit: thinking counts as output, and must leave room for the answer. */
function maxTokens(asked: number | undefined, model: string, thinking: Anthropic.ThinkingConfigParam | undefined) {
  const wanted = asked ?? maxTokensOf(model);
  return thinking?.type === 'enabled' && wanted <= thinking.budget_tokens ? thinking.budget_tokens + wanted : wanted;
}

function maxTokensOf(model: string): number {
  if (isAdaptive(model)) return MAX_TOKENS_ADAPTIVE;
  return /^claude-3-(opus|sonnet|haiku)-/.test(model) ? MAX_TOKENS_CLAUDE_3 : MAX_TOKENS;
}

/** Merges neighbours of one role: Anthropic wants user and assistant to alternate, and all results of a turn together. */
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
  const thinking: Block[] = message.thinking_blocks ?? [];
  return [...thinking, ...(text.trim() === '' ? [] : [{ type: 'text' as const, text }]), ...calls];
}

function toUserBlocks(content: CompletionMessage['content']): UserBlock[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return (content ?? []).flatMap((part): UserBlock[] => {
    if (part.type === 'text' && typeof part.text === 'string')
      return part.text === '' ? [] : [{ type: 'text', text: part.text }];
    if (part.type === 'image_url') return [toImage((part as { image_url?: { url?: unknown } }).image_url?.url)];
    if (part.type === 'file') return [toDocument((part as { file?: { file_data?: unknown } }).file?.file_data)];
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

function toDocument(file: unknown): Anthropic.DocumentBlockParam {
  const [, data] = /^data:application\/pdf;base64,(.+)$/s.exec(typeof file === 'string' ? file : '') ?? [];
  if (data === undefined)
    throw new CodelabError('VALIDATION', 'file.file_data must be a data: URL of a PDF in base64.');
  return { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data } };
}

function parseArguments(text: string, name: string): unknown {
  if (text.trim() === '') return {};
  if (jsonDepthExceeds(text, MAX_JSON_DEPTH))
    throw new CodelabError(
      'VALIDATION',
      `The arguments of the call of ${name} are nested more than ${MAX_JSON_DEPTH} levels deep.`,
    );
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
  const name = (choice as { function?: { name?: unknown } } | null | undefined)?.function?.name;
  if (typeof name === 'string') return { type: 'tool', name, ...disable };
  return choice === 'auto' || parallel === false ? { type: 'auto', ...disable } : undefined;
}

function textOf(message: CompletionMessage): string {
  const { content } = message;
  if (typeof content === 'string') return content;
  return (content ?? [])
    .map((part) => {
      if ('text' in part && typeof part.text === 'string') return part.text;
      return 'refusal' in part && typeof part.refusal === 'string' ? part.refusal : '';
    })
    .join('');
}
