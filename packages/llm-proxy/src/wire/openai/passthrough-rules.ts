import type { ChatCompletionChunk } from 'openai/resources';
import type { CountedUsage, OpenedChoices } from '../../providers/provider.ts';
import { endReason } from '../end-reason.ts';
import type { PassthroughRules } from '../passthrough.ts';
import { toCountedUsage } from './decoder.ts';

/**
 * Finds what must be looked at: members that are not null, whatever stands around the colon (a line that ends there goes on behind the next
 * `data:`); what is called an error; the end; letters that are escaped, for only names are ever written so. Inside of strings quotes are escaped. One expression
 * costs a quarter of one search for each of them.
 */
const NEEDS_LOOK = /"(?:finish_reason|usage|error)"[ \t]*(?:[,}\n]|:[ \t]*[^n \t])|\[DONE\]|\\u00(?:5[fF]|[67])/;

export interface OpenAiPassthroughOptions {
  /** Whether the client has not asked for the event with the usage, and we have. */
  hidesUsage: boolean;
  /** How many choices the client asks for. */
  choices: number;
  /** The choices that the client has had the beginning of, from attempts before. */
  opened: OpenedChoices;
}

/** OpenAI's wire. */
export function openAiPassthroughRules({
  hidesUsage,
  choices: asked,
  opened: before,
}: OpenAiPassthroughOptions): PassthroughRules {
  const opened = new Set(before);
  const seen = new Set<number>();
  const finished = new Set<number>();
  let hasBegun = false;
  let usage: CountedUsage | undefined;
  return {
    textKey: '"content":"',
    // Of several choices each has its own end: all events must be known.
    needsLook: (text) => asked > 1 || NEEDS_LOOK.test(text) || text.includes('event: error'),
    look(payload) {
      const chunk = payload as Partial<ChatCompletionChunk>;
      if (chunk.usage != null) usage = toCountedUsage(chunk.usage) ?? usage;
      const choices = chunk.choices ?? [];
      if (choices.length === 0) return hidesUsage && chunk.usage != null ? '' : undefined;
      for (const { index, finish_reason: reason } of choices) {
        seen.add(index);
        if (endReason(reason) !== undefined) finished.add(index);
      }
      const isAnswer = choices.some(saysSomething);
      if (isAnswer) hasBegun = true;
      // What an attempt before has opened is not opened again; within one attempt everything counts.
      const isAgain = choices.some(hasRole) && choices.every(({ index }) => before.has(index));
      for (const choice of choices) if (hasRole(choice)) opened.add(choice.index);
      return isAgain && !isAnswer ? '' : undefined;
    },
    get hasBegun() {
      return hasBegun;
    },
    opened,
    isComplete: false,
    get isFinished() {
      return finished.size >= Math.max(1, asked) && (asked <= 1 || finished.size === seen.size);
    },
    lastEvent: 'data: [DONE]\n\n',
    usage: () => usage,
  };
}

function hasRole({ delta }: ChatCompletionChunk.Choice): boolean {
  return Boolean(delta?.role);
}

/** Whether a choice has more than the role that each begins with. */
function saysSomething({ delta, finish_reason: reason }: ChatCompletionChunk.Choice): boolean {
  if (endReason(reason) !== undefined) return true;
  return Object.entries(delta ?? {}).some(
    ([key, value]) => key !== 'role' && value != null && value !== '' && !(Array.isArray(value) && value.length === 0),
  );
}
