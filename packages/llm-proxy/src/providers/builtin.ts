import { setTimeout as sleep } from 'node:timers/promises';
import {
  CodelabError,
  type CompletionMessage,
  type CompletionRequest,
  estimateTextTokens,
  noUsage,
} from '@codelab/protocol';
import { toAbortSignal } from '../lib/cancel-token.ts';
import { nameSome } from '../lib/name-some.ts';
import type { BuiltinProvider, ProviderChunk } from './provider.ts';

/** Upper bound for all pauses of an answer together. */
const MAX_TOTAL_DELAY_MS = 3000;

export interface BuiltinOptions {
  /** Pause between two words. Milliseconds. */
  delayMs: number;
  /** True if a real provider is configured; if not, `builtin/agent` explains how to configure one. */
  hasProvider: boolean;
  /** Lists the models of providers that nobody configured and that answer here, by their full names. Does not reject. */
  found: () => Promise<string[]>;
}

/** Creates the models that need no key: `echo` quotes the message, `agent` also calls the tools that it is told to. Both are deterministic. */
export function createBuiltinProvider(options: BuiltinOptions): BuiltinProvider {
  return {
    id: 'builtin',
    wire: 'builtin',
    models: async () => ['agent', 'echo'],
    async *stream(request, signal) {
      yield { type: 'start', model: `builtin/${request.model}`, provider: 'builtin' };
      const answer = await answerOf(request, options);
      const inputTokens = countTokens(request.messages.map((message) => textOf(message)).join(' '));
      const outputTokens = countTokens(answer.text + answer.calls.map((call) => call.arguments).join(' '));
      yield* speak(answer.text, options.delayMs, toAbortSignal(signal));
      for (const [index, call] of answer.calls.entries()) yield { type: 'tool_call', index, ...call };
      yield { type: 'usage', usage: { ...noUsage, inputTokens, outputTokens } };
      yield { type: 'finish', finishReason: answer.calls.length > 0 ? 'tool_calls' : 'stop' };
    },
  };
}

interface Answer {
  text: string;
  calls: Array<{ callId: string; name: string; arguments: string }>;
}

async function answerOf(request: CompletionRequest, options: BuiltinOptions): Promise<Answer> {
  const said = lastUserText(request.messages);
  if (request.model === 'echo') return { text: `You said: ${said}`, calls: [] };
  if (request.model !== 'agent')
    throw new CodelabError(
      'MODEL_NOT_FOUND',
      `There is no model builtin/${request.model}: there are builtin/agent and builtin/echo.`,
    );
  return agentAnswer(request, said, options);
}

async function agentAnswer(request: CompletionRequest, said: string, options: BuiltinOptions): Promise<Answer> {
  const results = trailingResults(request.messages);
  if (results.length > 0) return { text: `The tool answered: ${results.join(' ')}`, calls: [] };

  const command = parseCommand(said);
  if (command !== undefined) {
    const name = request.tools?.find((tool) => command.names.includes(tool.function.name))?.function.name;
    if (name !== undefined) {
      const callId = `call_${request.messages.length}`;
      return { text: `I call ${name}.`, calls: [{ callId, name, arguments: JSON.stringify(command.arguments) }] };
    }
    return {
      text: `You said: ${said} I would call ${command.names[0]}, but this session has no such tool.`,
      calls: [],
    };
  }
  if (options.hasProvider) return { text: `You said: ${said}`, calls: [] };
  const text =
    `You said: ${said}\n\nI am builtin/agent, a model that needs no key: no provider is configured. ${howToChoose(await options.found())} ` +
    'I also understand: read <path>, list <path>, write <path>: <text>, run <command>.';
  return { text, calls: [] };
}

function howToChoose(found: string[]): string {
  const [first] = found;
  const key = 'put LLM_PROXY__OPENAI_API_KEY=<your key> into .env and start again.';
  if (first === undefined) return `For real answers, ${key}`;
  return (
    `These models were found here: ${nameSome(found)}. Choose one by its name, or put ` +
    `LLM_PROXY__DEFAULT_MODEL=${first} into .env and start again. For OpenAI's, ${key}`
  );
}

interface Command {
  /** Names of the tools that can run it, the standard one first. */
  names: string[];
  arguments: Record<string, string>;
}

function parseCommand(said: string): Command | undefined {
  const [, verb = '', rest = ''] = /^(read|list|write|run)\s+([\s\S]+)$/i.exec(said.trim()) ?? [];
  switch (verb.toLowerCase()) {
    case 'read':
      return { names: ['read_file', 'read'], arguments: { path: rest } };
    case 'list':
      return { names: ['list_files', 'list'], arguments: { path: rest } };
    case 'run':
      return { names: ['run_command', 'run'], arguments: { command: rest } };
    case 'write': {
      const [, path, content] = /^([^:]+):\s?([\s\S]*)$/.exec(rest) ?? [];
      if (path === undefined || content === undefined) return undefined;
      return { names: ['write_file', 'write'], arguments: { path: path.trim(), content } };
    }
    default:
      return undefined;
  }
}

/** Yields the text word by word, each with the white space before it. */
async function* speak(text: string, delayMs: number, signal: AbortSignal): AsyncGenerator<ProviderChunk> {
  const words = text.match(/\s*\S+|\s+$/g) ?? [];
  const pause = Math.min(delayMs, MAX_TOTAL_DELAY_MS / Math.max(1, words.length));
  let owed = 0;
  for (const [index, word] of words.entries()) {
    signal.throwIfAborted();
    yield { type: 'text', text: word };
    owed += pause;
    // Timers have no fractions of a millisecond: long answers come a few words at a time.
    if (owed >= 1) {
      await sleep(Math.floor(owed), undefined, { signal });
      owed -= Math.floor(owed);
    } else if (index % 64 === 63) await new Promise((resolve) => setImmediate(resolve));
  }
}

function textOf(message: CompletionMessage): string {
  const { content } = message;
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part && typeof part.text === 'string' ? part.text : '')).join('');
}

function lastUserText(messages: CompletionMessage[]): string {
  const message = messages.findLast(({ role }) => role === 'user');
  return message === undefined ? '' : textOf(message);
}

function trailingResults(messages: CompletionMessage[]): string[] {
  const last = messages.findLastIndex(({ role }) => role !== 'tool');
  return messages.slice(last + 1).map(textOf);
}

function countTokens(text: string): number {
  return Math.ceil(estimateTextTokens(text));
}
