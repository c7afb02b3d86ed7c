import { CodelabError, fromWireError, toWireError } from './errors.ts';
import type { SessionEvent } from './event.ts';
import type { LegacyAgentFrame, LegacyErrorFrame, LegacyTokenFrame, LegacyToolCallFrame } from './legacy.ts';

export type LegacyFrame = LegacyTokenFrame | LegacyErrorFrame;
export type LegacyToolFrame = LegacyToolCallFrame | LegacyAgentFrame;

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
          if (!wasReset || options.inputId === undefined) return [];
          if (wantedRun !== undefined) return event.runId === wantedRun ? [] : [final];
          return event.state === 'idle' ? [toErrorFrame(new CodelabError('NOT_FOUND', GONE), '')] : [];
        default:
          return [];
      }
    },
  };
}

/** Turns the events of a session into the frames for tools of `/ws/{session_id}`. */
export interface LegacyToolFrames {
  push(event: SessionEvent): LegacyToolFrame[];
  /** The reader itself has said yes to this call: it runs the tool without being told again. */
  decided(callId: string): void;
}

export function createLegacyToolFrames(): LegacyToolFrames {
  /** The calls that the reader has been told of. */
  const asked = new Set<string>();
  const told = new Set<string>();
  return {
    decided: (callId) => void told.add(callId),
    push(event) {
      switch (event.type) {
        case 'approval.requested': {
          const { callId, name, arguments: args, target } = event.approval;
          if (asked.has(callId)) return [];
          asked.add(callId);
          return [
            {
              type: 'tool_call',
              call_id: callId,
              tool_name: name,
              arguments: args,
              requires_approval: true,
              ...(target === 'client' ? {} : { target }),
            },
          ];
        }
        case 'tool.requested': {
          const { callId, name, arguments: args, target } = event;
          if (target !== 'client' || told.has(callId)) return [];
          told.add(callId);
          return [{ type: 'tool_call', call_id: callId, tool_name: name, arguments: args, requires_approval: false }];
        }
        case 'tool.finished':
          asked.delete(event.callId);
          told.delete(event.callId);
          return [];
        case 'agent.switched': {
          const { from, to, reason } = event;
          const content = `${to} goes on in place of ${from}.`;
          return [{ type: 'agent_switched', from_agent: from, to_agent: to, reason, content }];
        }
        default:
          return [];
      }
    },
  };
}
