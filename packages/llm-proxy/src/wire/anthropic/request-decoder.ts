import type Anthropic from '@anthropic-ai/sdk';
import { CodelabError, CompletionRequest } from '@codelab/protocol';
import { toValidationError } from '@codelab/service-kit';
import { z } from 'zod';

/** A body of Anthropic's Messages API, as far as it is checked before it is passed through. */
export type MessagesBody = Record<string, unknown> & { model: string; messages: unknown[]; stream?: boolean };

const Blocks = z.union(
  [z.string(), z.array(z.looseObject({ type: z.string() }))],
  'content must be a string or a list of blocks',
);
const Shape = z.looseObject({
  messages: z.array(z.looseObject({ role: z.enum(['user', 'assistant', 'system']), content: Blocks })),
  system: Blocks.nullish(),
  max_tokens: z.int('max_tokens must be a whole number').positive('max_tokens must be positive'),
  tools: z.array(z.looseObject({ name: z.string() })).nullish(),
  stop_sequences: z.array(z.string()).nullish(),
});

/** Sampling parameters that Anthropic's newer models refuse, and other providers accept. */
interface Sampling {
  temperature?: number | null;
  top_p?: number | null;
  top_k?: number | null;
}

type Part = { type: string; [field: string]: unknown };
interface NeutralMessage {
  role: string;
  content?: string | Part[] | null;
  [field: string]: unknown;
}

/**
 * Converts a request of Anthropic's wire to OpenAI's. Throws `VALIDATION` if it cannot be expressed there.
 * Source: https://docs.anthropic.com/en/api/messages
 */
export function decodeAnthropicRequest(body: MessagesBody): CompletionRequest {
  const checked = Shape.safeParse(body);
  if (!checked.success) throw toValidationError(checked.error);
  const request = body as unknown as Anthropic.MessageCreateParams & Sampling;
  const system = request.system == null ? [] : [{ role: 'system', content: textOf(request.system) }];
  const tools = request.tools?.map(toTool);
  const neutral = {
    model: request.model,
    messages: [...system, ...request.messages.flatMap(toMessages)],
    max_tokens: request.max_tokens,
    ...(tools === undefined || tools.length === 0 ? {} : { tools, ...toToolChoice(request.tool_choice) }),
    ...(request.temperature == null ? {} : { temperature: request.temperature }),
    ...(request.top_p == null ? {} : { top_p: request.top_p }),
    ...(request.stop_sequences == null ? {} : { stop: request.stop_sequences }),
    ...(request.metadata?.user_id == null ? {} : { user: request.metadata.user_id }),
    ...toEffort(request),
    ...toResponseFormat(request.output_config?.format),
  };
  const parsed = CompletionRequest.safeParse(neutral);
  if (!parsed.success) throw toValidationError(parsed.error);
  return parsed.data;
}

function toTool(tool: Anthropic.ToolUnion) {
  if (!('input_schema' in tool))
    throw new CodelabError(
      'VALIDATION',
      `The tool "${'name' in tool ? tool.name : tool.type}" runs at Anthropic: this model's provider has none such.`,
    );
  const { name, description, input_schema: parameters } = tool;
  return { type: 'function', function: { name, ...(description === undefined ? {} : { description }), parameters } };
}

function toToolChoice(choice: Anthropic.ToolChoice | undefined) {
  if (choice === undefined) return {};
  const parallel = 'disable_parallel_tool_use' in choice && choice.disable_parallel_tool_use === true;
  const only = parallel ? { parallel_tool_calls: false } : {};
  switch (choice.type) {
    case 'any':
      return { tool_choice: 'required', ...only };
    case 'tool':
      return { tool_choice: { type: 'function', function: { name: choice.name } }, ...only };
    default:
      return { tool_choice: choice.type, ...only };
  }
}

function toEffort({ thinking, output_config: output }: Anthropic.MessageCreateParams) {
  if (thinking?.type === 'enabled') {
    const { budget_tokens: budget } = thinking;
    return { reasoning_effort: budget <= 4096 ? 'low' : budget <= 16_384 ? 'medium' : 'high' };
  }
  if (output?.effort == null) return {};
  return { reasoning_effort: output.effort === 'max' ? 'xhigh' : output.effort };
}

function toResponseFormat(format: { type: string; schema?: unknown } | null | undefined) {
  if (format?.type !== 'json_schema') return {};
  return {
    response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema, strict: true } },
  };
}

function toMessages({ role, content }: Anthropic.MessageParam): NeutralMessage[] {
  const blocks = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content;
  if ((role as string) === 'system') return [{ role: 'system', content: textOf(content as string) }];
  return role === 'assistant' ? [toAssistantMessage(blocks)] : toUserMessages(blocks);
}

/** Converts an assistant's turn. Leaves thinking out: only Anthropic can verify its signature. */
function toAssistantMessage(blocks: Anthropic.ContentBlockParam[]): NeutralMessage {
  const text = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('');
  const calls = blocks.flatMap((block) =>
    block.type === 'tool_use'
      ? [{ id: block.id, type: 'function', function: { name: block.name, arguments: JSON.stringify(block.input) } }]
      : [],
  );
  return {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** Converts a user's turn: tool results first, each a message of its own; their images and files follow with the user's blocks. */
function toUserMessages(blocks: Anthropic.ContentBlockParam[]): NeutralMessage[] {
  const results: NeutralMessage[] = [];
  const parts: Part[] = [];
  for (const block of blocks) {
    if (block.type !== 'tool_result') {
      parts.push(...toParts(block));
      continue;
    }
    const content =
      typeof block.content === 'string' ? [{ type: 'text' as const, text: block.content }] : block.content;
    const shown = (content ?? []).flatMap((part) => toParts(part as Anthropic.ContentBlockParam));
    const text = shown.flatMap((part) => (part.type === 'text' ? [String(part.text)] : [])).join('\n');
    const others = shown.filter((part) => part.type !== 'text');
    const hint = text === '' && others.length > 0 ? 'The result is shown below.' : text;
    results.push({
      role: 'tool',
      tool_call_id: block.tool_use_id,
      content: block.is_error ? `Error: ${hint}` : hint,
    });
    parts.push(...others);
  }
  if (parts.length === 0) return results;
  const isText = parts.every((part) => part.type === 'text');
  return [...results, { role: 'user', content: isText ? parts.map((part) => part.text).join('\n\n') : parts }];
}

function toParts(block: Anthropic.ContentBlockParam): Part[] {
  switch (block.type) {
    case 'text':
      return [{ type: 'text', text: block.text }];
    case 'image':
      return [{ type: 'image_url', image_url: { url: urlOf(block.source as Source, 'image') } }];
    case 'document': {
      const source = block.source as Source & { content?: unknown };
      if (source.type === 'text') return [{ type: 'text', text: String(source.data) }];
      if (source.type === 'content')
        return typeof source.content === 'string'
          ? [{ type: 'text', text: source.content }]
          : ((source.content ?? []) as Anthropic.ContentBlockParam[]).flatMap(toParts);
      return [
        { type: 'file', file: { filename: block.title ?? 'document.pdf', file_data: urlOf(source, 'document') } },
      ];
    }
    case 'search_result':
      return [
        { type: 'text', text: `${block.title} (${block.source})\n${block.content.map(({ text }) => text).join('\n')}` },
      ];
    default:
      throw new CodelabError('VALIDATION', `This model's provider takes no block of the type "${block.type}".`);
  }
}

interface Source {
  type: string;
  media_type?: string;
  data?: string;
  url?: string;
}

function urlOf({ type, media_type: mediaType, data, url }: Source, what: string): string {
  if (type === 'url' && url !== undefined) return url;
  if (type === 'base64' && data !== undefined) return `data:${mediaType};base64,${data}`;
  throw new CodelabError('VALIDATION', `The source of an ${what} must be base64 or a url, not "${type}".`);
}

function textOf(content: string | Array<{ text?: string }>): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text ?? '').join('\n\n');
}
