import { CodelabError, fromWireError, toWireError } from './errors.ts';
import type { SessionEvent } from './event.ts';
import type { LegacyErrorFrame, LegacyTokenFrame } from './legacy.ts';

export type LegacyFrame = LegacyTokenFrame | LegacyErrorFrame;

/** Turns the events of a session into the frames of the older wires. PROTOCOL.md §8. */
export interface LegacyFrames {
  /** The frames that `event` means; the answer's end is a frame with `is_final` or of type `error`. */
  push(event: SessionEvent): LegacyFrame[];
}

const GONE = 'The answer to this message is older than what the service keeps.';
const final: LegacyTokenFrame = Object.freeze({ token: '', is_final: true, type: 'assistant_message' });

export function isLastFrame(frame: LegacyFrame): boolean {
  return frame.type === 'error' || frame.is_final;
}

export function toErrorFrame(error: CodelabError, requestId: string): LegacyErrorFrame {
  const { message, ...rest } = toWireError(error, requestId);
  return { type: 'error', content: message, ...rest };
}

/** With `inputId`: only the answer to that input. Without: every answer. */
export function createLegacyFrames(options: { inputId?: string } = {}): LegacyFrames {
  let wantedRun: string | undefined;
  let wasReset = false;
  /** How much of each open answer has been sent, in UTF-16 code units. */
  const sent = new Map<string, number>();

  const wants = (runId: string) => options.inputId === undefined || runId === wantedRun;
  const token = (itemId: string, text: string, offset: number): LegacyFrame[] => {
    const have = sent.get(itemId) ?? 0;
    const fresh = text.slice(Math.max(0, have - offset));
    if (fresh === '') return [];
    sent.set(itemId, offset + text.length);
    return [{ token: fresh, is_final: false, type: 'assistant_message' }];
  };

  return {
    push(event) {
      switch (event.type) {
        case 'input.delivered':
          if (event.inputId === options.inputId) wantedRun = event.runId;
          return [];
        case 'input.cancelled':
          if (event.inputId !== options.inputId) return [];
          return [
            toErrorFrame(new CodelabError('NOT_FOUND', 'The message was cancelled before the agent got it.'), ''),
          ];
        case 'item.started':
          if (event.item.kind === 'assistant_message' && wants(event.item.runId)) sent.set(event.item.itemId, 0);
          return [];
        case 'item.delta':
          return sent.has(event.itemId) ? token(event.itemId, event.text, event.offset) : [];
        case 'item.completed': {
          const { itemId, text } = event.item;
          if (!sent.has(itemId)) return [];
          const rest = token(itemId, text, 0);
          sent.delete(itemId);
          return rest;
        }
        case 'run.finished': {
          if (!wants(event.runId)) return [];
          sent.clear();
          const error = fromWireError(event.error);
          return [error === undefined ? final : toErrorFrame(error, '')];
        }
        case 'stream.reset':
          wasReset = true;
          wantedRun ??= event.items.find(
            (item) => item.inputId !== undefined && item.inputId === options.inputId,
          )?.runId;
          for (const item of event.items) {
            if (item.kind === 'assistant_message' && wants(item.runId) && options.inputId !== undefined)
              sent.set(item.itemId, sent.get(item.itemId) ?? 0);
          }
          return event.items.flatMap((item) => (sent.has(item.itemId) ? token(item.itemId, item.text, 0) : []));
        case 'stream.synced':
          // The run ended in the part of the log that is gone.
          if (!wasReset || options.inputId === undefined || event.state !== 'idle') return [];
          return [wantedRun === undefined ? toErrorFrame(new CodelabError('NOT_FOUND', GONE), '') : final];
        default:
          return [];
      }
    },
  };
}
