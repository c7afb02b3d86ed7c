import type Anthropic from '@anthropic-ai/sdk';
import type { CountedUsage, OpenedChoices } from '../../providers/provider.ts';
import { endReason } from '../end-reason.ts';
import type { PassthroughRules } from '../passthrough.ts';
import { isAnotherMessage, mergeUsage, toSplicedError } from './decoder.ts';

/** Finds what must be looked at; letters that are escaped as well, for only names are ever written so. */
const NEEDS_LOOK = /"message_|"error"|\\u00(?:5[fF]|[67])/;

/** Anthropic's wire. `opened`: has 0 where the client has had a `message_start` from an attempt before. */
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
    needsLook: (text) => NEEDS_LOOK.test(text) || text.includes('event: error'),
    look(payload) {
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
          // A ping, or what only later clients know.
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

/** A whole message as the events that follow a `message_start`, for a client that has had one. */
function partsOf({ content = [], stop_reason, stop_sequence = null, usage }: Partial<Anthropic.Message>): string {
  const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  const blocks = content.map(
    (block, index) =>
      event('content_block_start', { index, content_block: block }) + event('content_block_stop', { index }),
  );
  const end =
    endReason(stop_reason) === undefined
      ? ''
      : event('message_delta', { delta: { stop_reason, stop_sequence }, usage });
  return blocks.join('') + end;
}
