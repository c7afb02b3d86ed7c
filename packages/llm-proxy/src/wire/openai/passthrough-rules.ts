import type { ChatCompletionChunk } from 'openai/resources';
import type { CountedUsage, OpenedChoices } from '../../providers/provider.ts';
import { endReason } from '../end-reason.ts';
import type { PassthroughRules } from '../passthrough.ts';
import { toCountedUsage } from './decoder.ts';

/**
 * Matches events that must be parsed: with a finish reason, usage or error that is not null (its JSON may go on in the next `data:` line),
 * `[DONE]`, and escaped letters, which may hide a member's name. In strings quotes are escaped, so that texts do not match. One expression
 * costs a quarter of one search for each of them.
 */
const NEEDS_PARSING = /"(?:finish_reason|usage|error)"[ \t]*(?:[,}\n]|:[ \t]*[^n \t])|\[DONE\]|\\u00(?:5[fF]|[67])/;

export interface OpenAiPassthroughOptions {
  /** True if we asked for the event with the usage, and the client did not. */
  hidesUsage: boolean;
  /** Number of choices that the client asks for. */
  choices: number;
  /** Choices whose beginning the client has received from earlier attempts. */
  opened: OpenedChoices;
}

/** Creates the rules of OpenAI's wire. */
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
    // Each of several choices has its own end: all events must be parsed.
    needsParsing: (text) => asked > 1 || NEEDS_PARSING.test(text) || text.includes('event: error'),
    inspect(payload) {
      const chunk = payload as Partial<ChatCompletionChunk>;
      if (chunk.usage != null) usage = toCountedUsage(chunk.usage) ?? usage;
      const choices = chunk.choices ?? [];
      if (choices.length === 0) return hidesUsage && chunk.usage != null ? '' : undefined;
      for (const { index, finish_reason: reason } of choices) {
        seen.add(index);
        if (endReason(reason) !== undefined) finished.add(index);
      }
      const isAnswer = choices.some(hasContent);
      if (isAnswer) hasBegun = true;
      // An earlier attempt has begun these choices for the client; within one attempt all events pass.
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

/** True if a choice has more than the role that each begins with. */
function hasContent({ delta, finish_reason: reason }: ChatCompletionChunk.Choice): boolean {
  if (endReason(reason) !== undefined) return true;
  return Object.entries(delta ?? {}).some(
    ([key, value]) => key !== 'role' && value != null && value !== '' && !(Array.isArray(value) && value.length === 0),
  );
}
