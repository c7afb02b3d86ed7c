import type { ChatCompletionChunk } from 'openai/resources';
import type { CountedUsage } from '../providers/provider.ts';
import { toCountedUsage } from './openai-decoder.ts';
import { hasValue, type PassRules } from './pass-reader.ts';

/** OpenAI's wire. `hidesUsage`: the client has not asked for the event with the usage; we have. */
export function openAiPassRules({ hidesUsage }: { hidesUsage: boolean }): PassRules {
  let isFinished = false;
  let usage: CountedUsage | undefined;
  return {
    textKey: '"content":"',
    needsLook: (text) =>
      hasValue(text, '"finish_reason":') ||
      hasValue(text, '"usage":') ||
      hasValue(text, '"error":') ||
      text.includes('[DONE]'),
    look(payload) {
      const chunk = payload as Partial<ChatCompletionChunk>;
      if (chunk.usage != null) usage = toCountedUsage(chunk.usage);
      const choices = chunk.choices ?? [];
      if (choices.some(({ finish_reason: reason }) => reason != null)) isFinished = true;
      if (choices.some(saysSomething)) return 'answer';
      if (choices.length > 0 || chunk.usage == null) return 'opening';
      return hidesUsage ? 'hidden' : 'other';
    },
    isComplete: () => false,
    isFinished: () => isFinished,
    lastEvent: 'data: [DONE]\n\n',
    usage: () => usage,
    outputTokens: (events) => events,
  };
}

/** Whether a choice has more than the role that each begins with. */
function saysSomething({ delta, finish_reason: reason }: ChatCompletionChunk.Choice): boolean {
  if (reason != null) return true;
  return Object.entries(delta ?? {}).some(
    ([key, value]) => key !== 'role' && value != null && value !== '' && !(Array.isArray(value) && value.length === 0),
  );
}
