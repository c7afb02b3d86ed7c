import type Anthropic from '@anthropic-ai/sdk';
import type { CountedUsage } from '../providers/provider.ts';
import { mergeUsage } from './anthropic-decoder.ts';
import type { PassRules } from './pass-reader.ts';

/** Of a delta's event, what is not text. */
const EVENT_BYTES = 115;

/** Anthropic's wire. */
export function anthropicPassRules(): PassRules {
  let isFinished = false;
  let isComplete = false;
  let usage: CountedUsage | undefined;
  return {
    textKey: '"text":"',
    needsLook: (text) => text.includes('"message_') || text.includes('"error"'),
    look(payload) {
      const event = payload as Anthropic.RawMessageStreamEvent;
      switch (event.type) {
        case 'message_start':
          usage ??= mergeUsage(usage, event.message.usage);
          return 'opening';
        case 'message_delta':
          usage = mergeUsage(usage, event.usage);
          if (event.delta?.stop_reason != null) isFinished = true;
          return 'answer';
        case 'message_stop':
          isComplete = isFinished;
          return isFinished ? 'answer' : 'hidden';
        case 'content_block_start':
        case 'content_block_delta':
        case 'content_block_stop':
          return 'answer';
        default:
          // A ping, or what only later clients know.
          return 'other';
      }
    },
    isComplete: () => isComplete,
    isFinished: () => isFinished,
    lastEvent: 'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    usage: () => usage,
    outputTokens: (events, bytes) => Math.max(0, Math.ceil((bytes - events * EVENT_BYTES) / 4)),
  };
}
