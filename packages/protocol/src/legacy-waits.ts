import { BoundedMap } from './bounded-map.ts';
import type { NewSessionEvent } from './event.ts';
import type { LegacyWaitingFrame } from './legacy.ts';

/** The messages that are known to wait. */
const MAX_WAITING = 1_000;

/** Tells the reader of `/ws/{session_id}` of each message that waits behind an approval, once. */
export interface LegacyWaits {
  push(event: NewSessionEvent): LegacyWaitingFrame[];
}

/** `nameOf`: the name that the reader itself has given to a message. */
export function createLegacyWaits(nameOf: (inputId: string) => string | undefined): LegacyWaits {
  /** The tools of the calls that wait for a decision. */
  const approvals = new Map<string, string>();
  /** The messages that no run has got, and whether that was told. */
  const waiting = new BoundedMap<string, boolean>(MAX_WAITING);

  const tell = (): LegacyWaitingFrame[] => {
    const [first] = approvals;
    if (first === undefined) return [];
    const [call_id, tool_name] = first;
    const frames: LegacyWaitingFrame[] = [];
    for (const [inputId, isTold] of [...waiting]) {
      if (isTold) continue;
      waiting.set(inputId, true);
      const message_id = nameOf(inputId);
      const content = `The message waits behind the approval of "${tool_name}".`;
      frames.push({
        type: 'waiting',
        content,
        call_id,
        tool_name,
        ...(message_id === undefined ? {} : { message_id }),
      });
    }
    return frames;
  };

  return {
    push(event) {
      switch (event.type) {
        case 'input.accepted':
          if (event.input.status === 'queued' && !waiting.has(event.input.inputId))
            waiting.set(event.input.inputId, false);
          return [];
        case 'input.delivered':
        case 'input.cancelled':
          waiting.delete(event.inputId);
          return [];
        case 'approval.requested':
          approvals.set(event.approval.callId, event.approval.name);
          return [];
        case 'approval.resolved':
          approvals.delete(event.callId);
          return [];
        case 'session.state':
        case 'stream.synced':
          return event.state === 'waiting' ? tell() : [];
        case 'stream.reset':
          // What still waits for a decision is announced again; which messages wait is not.
          approvals.clear();
          waiting.clear();
          return [];
        default:
          return [];
      }
    },
  };
}
