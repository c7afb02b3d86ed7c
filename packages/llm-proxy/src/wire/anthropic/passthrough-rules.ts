import type Anthropic from '@anthropic-ai/sdk';
import type { CountedUsage, OpenedChoices } from '../../providers/provider.ts';
import { endReason } from '../end-reason.ts';
import type { PassthroughRules } from '../passthrough.ts';
import { isAnotherMessage, mergeUsage, toSplicedError } from './decoder.ts';
import { toAnthropicEvent } from './encoder.ts';

/** Matches events that must be parsed. Escaped letters are among them: they may hide a member's name. */
const NEEDS_PARSING = /"message_|"error"|\\u00(?:5[fF]|[67])/;

/** Creates the rules of Anthropic's wire. `opened` has 0 if the client has received a `message_start` from an earlier attempt. */
export function anthropicPassthroughRules({ opened: before }: { opened: OpenedChoices }): PassthroughRules {
  const opened = new Set(before);
  let id: string | undefined;
  let hasBegun = false;
  let isFinished = false;
  let isComplete = false;
  let usage: CountedUsage | undefined;

  const start = (message: Partial<Anthropic.Message>): string | undefined => {
    if (hasBegun) {
      if (isAnotherMessage(id, message.id)) throw toSplicedError();
      return '';
    }
    id = message.id;
    usage = mergeUsage(undefined, message.usage) ?? usage;
    if (endReason(message.stop_reason) !== undefined) isFinished = true;
    hasBegun = isFinished || (message.content ?? []).length > 0;
    const isOpen = opened.has(0);
    opened.add(0);
    if (!isOpen) return undefined;
    return hasBegun ? partsOf(message) : '';
  };

  return {
    textKey: '"text":"',
    needsParsing: (text) => NEEDS_PARSING.test(text) || text.includes('event: error'),
    inspect(payload) {
      const event = payload as Anthropic.RawMessageStreamEvent;
      switch (event.type) {
        case 'message_start':
          return start(event.message ?? {});
        case 'message_delta':
          usage = mergeUsage(usage, event.usage);
          if (endReason(event.delta?.stop_reason) !== undefined) isFinished = true;
          hasBegun = true;
          return undefined;
        case 'message_stop':
          isComplete = isFinished;
          return isFinished ? undefined : '';
        case 'content_block_start':
        case 'content_block_delta':
        case 'content_block_stop':
          hasBegun = true;
          return undefined;
        default:
          // A ping, or an event that we do not know.
          return undefined;
      }
    },
    get hasBegun() {
      return hasBegun;
    },
    opened,
    get isComplete() {
      return isComplete;
    },
    get isFinished() {
      return isFinished;
    },
    lastEvent: 'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    usage: () => usage,
  };
}

/** Converts a whole message to the events that follow `message_start`, for a client that has received one. */
function partsOf({ content = [], stop_reason, stop_sequence = null, usage }: Partial<Anthropic.Message>): string {
  const blocks = content.map(
    (block, index) =>
      toAnthropicEvent('content_block_start', { index, content_block: block }) +
      toAnthropicEvent('content_block_stop', { index }),
  );
  const end =
    endReason(stop_reason) === undefined
      ? ''
      : toAnthropicEvent('message_delta', { delta: { stop_reason, stop_sequence }, usage });
  return blocks.join('') + end;
}
