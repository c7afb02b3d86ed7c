import { type AnswerStream, createAnswerStream } from './answer.ts';
import { BoundedMap } from './bounded-map.ts';
import { CodelabError, fromWireError, toWireError } from './errors.ts';
import type { NewSessionEvent } from './event.ts';
import type { LegacyAgentFrame, LegacyErrorFrame, LegacyTokenFrame, LegacyToolCallFrame } from './legacy.ts';

export type LegacyFrame = LegacyTokenFrame | LegacyErrorFrame;
export type LegacyToolFrame = LegacyToolCallFrame | LegacyAgentFrame;

/** Turns the mended events of a session into the frames of the older wires. PROTOCOL.md §8. */
export interface LegacyFrames {
  /** The frames that `event` means; the answer's end is a frame with `is_final` or of type `error`. */
  push(event: NewSessionEvent): LegacyFrame[];
}

const final: LegacyTokenFrame = Object.freeze({ token: '', is_final: true, type: 'assistant_message' });

export function isLastFrame(frame: LegacyFrame): boolean {
  return frame.type === 'error' || frame.is_final;
}

export function toErrorFrame(error: CodelabError, requestId: string): LegacyErrorFrame {
  const { message, ...rest } = toWireError(error, requestId);
  return { type: 'error', content: message, ...rest };
}

export function toSwitchedFrame({ from, to, reason }: { from: string; to: string; reason: string }): LegacyAgentFrame {
  const content = from === to ? `${to} answers already.` : `${to} goes on in place of ${from}.`;
  return { type: 'agent_switched', from_agent: from, to_agent: to, reason, content };
}

/** The most runs that are known to be over. */
const MAX_OVER = 1_000;

export interface LegacyFramesOptions {
  /** Asks for the answer to this input alone. @default every answer */
  inputId?: string;
  /** True for an input whose end the reader waits for. @default only `inputId` */
  isOwn?: (inputId: string) => boolean;
}

/** Each answer has one end, whatever is pushed after it. */
export function createLegacyFrames(options: LegacyFramesOptions = {}): LegacyFrames {
  const { isOwn = (inputId) => inputId === options.inputId } = options;
  let wantedRun: string | undefined;
  /** The answers that are being said, by their run. */
  const answers = new Map<string, AnswerStream>();
  /** The runs whose end has been said. */
  const over = new BoundedMap<string, true>(MAX_OVER);

  const wants = (runId: string) => !over.has(runId) && (options.inputId === undefined || runId === wantedRun);
  const end = (runId: string) => {
    answers.delete(runId);
    over.set(runId, true);
  };
  const replaced = (runId: string) =>
    toErrorFrame(new CodelabError('ANSWER_REPLACED', undefined, { details: { runId } }), '');

  /** An event of items is of one answer; those that don't know the item have nothing to say. */
  const show = (event: NewSessionEvent): LegacyFrame[] => {
    const frames: LegacyFrame[] = [];
    for (const [runId, answer] of [...answers]) {
      const text = answer.push(event);
      if (text !== '') frames.push({ token: text, is_final: false, type: 'assistant_message' });
      if (!answer.isReplaced) continue;
      end(runId);
      frames.push(replaced(runId));
    }
    return frames;
  };

  return {
    push(event) {
      switch (event.type) {
        case 'input.delivered':
          if (event.inputId === options.inputId) wantedRun = event.runId;
          return [];
        case 'input.cancelled':
          if (!isOwn(event.inputId)) return [];
          return [
            toErrorFrame(new CodelabError('NOT_FOUND', 'The message was cancelled before the agent got it.'), ''),
          ];
        case 'item.started':
        case 'item.completed': {
          const { kind, runId } = event.item;
          if (kind !== 'assistant_message' || !wants(runId)) return [];
          if (!answers.has(runId)) answers.set(runId, createAnswerStream());
          return show(event);
        }
        case 'item.delta':
        case 'item.discarded':
          return show(event);
        case 'run.finished': {
          const { runId } = event;
          if (!wants(runId)) return [];
          const answer = answers.get(runId);
          end(runId);
          const error = fromWireError(event.error);
          if (error !== undefined) return [toErrorFrame(error, '')];
          return [answer === undefined || answer.isWhole() ? final : replaced(runId)];
        }
        default:
          return [];
      }
    },
  };
}

/** Turns the events of a session into the frames for tools of `/ws/{session_id}`. */
export interface LegacyToolFrames {
  push(event: NewSessionEvent): LegacyToolFrame[];
  /** Says that the reader itself is saying yes to this call, and so runs the tool without being told again. */
  deciding(callId: string): void;
  /** Says that its yes was taken. */
  decided(callId: string): void;
  /** Says that its yes was refused. Returns what it was not told meanwhile. */
  refused(callId: string): LegacyToolFrame[];
}

export function createLegacyToolFrames(): LegacyToolFrames {
  /** The calls that the reader has been told of. */
  const asked = new Set<string>();
  const told = new Set<string>();
  /** The calls that the reader says yes to, and what it would have been told of them since. */
  const deciding = new Map<string, LegacyToolFrame[]>();
  return {
    deciding(callId) {
      if (!told.has(callId)) deciding.set(callId, []);
    },
    decided(callId) {
      if (deciding.delete(callId)) told.add(callId);
    },
    refused(callId) {
      const untold = deciding.get(callId) ?? [];
      deciding.delete(callId);
      if (untold.length > 0) told.add(callId);
      return untold;
    },
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
          const frame = {
            type: 'tool_call',
            call_id: callId,
            tool_name: name,
            arguments: args,
            requires_approval: false,
          } as const;
          if (deciding.has(callId)) {
            deciding.set(callId, [frame]);
            return [];
          }
          told.add(callId);
          return [frame];
        }
        case 'tool.finished':
          asked.delete(event.callId);
          told.delete(event.callId);
          deciding.delete(event.callId);
          return [];
        case 'agent.switched':
          return [toSwitchedFrame(event)];
        default:
          return [];
      }
    },
  };
}
