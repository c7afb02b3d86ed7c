import { newId } from '@codelab/protocol';
import type { Connection } from './connection.ts';
import { createRun, type Run } from './run.ts';
import type { Item, SessionInfo, TrackedSessionEvent } from './types.ts';

export interface SendOptions {
  /** Your name for this message; sending again with the same one is harmless. Default: a new one. */
  inputId?: string;
  /** Overrides the session's model for this message. */
  model?: string;
  /** What to do while another run is active. `queue` (default): wait for it; `reject`: throw `SESSION_BUSY`. */
  whenBusy?: 'queue' | 'reject';
}

export interface EventsOptions {
  /** The `id` of the last event you have. */
  lastEventId?: string;
  /** Where to begin without one. Default: `now`. */
  from?: 'now' | 'start';
  /** Ends the iteration. */
  signal?: AbortSignal;
}

export interface ItemPage {
  /** Oldest first. */
  items: Item[];
  /** Set while there are older items: pass it as `cursor`. */
  nextCursor?: string;
}

/** One conversation with the agent. */
export interface Session {
  readonly id: string;
  /** The session as it was when this object was made. */
  readonly info: SessionInfo;
  /** Sends a message: at once, whether or not anybody watches the answer. */
  send(content: string, options?: SendOptions): Run;
  /** What happens in the session, resumable, over cuts. Never ends by itself. */
  events(options?: EventsOptions): AsyncIterable<TrackedSessionEvent>;
  /** The history, the newest page first. `limit`: 1 to 200, default 50. */
  items(options?: { cursor?: string; limit?: number }): Promise<ItemPage>;
  /** Stops the active run, if there is one. */
  cancel(): Promise<void>;
  delete(): Promise<void>;
}

export function createSession(connection: Connection, info: SessionInfo): Session {
  const { sessionId } = info;
  return {
    id: sessionId,
    info,
    send(content, { inputId = newId('in'), model, whenBusy } = {}) {
      const requestId = newId('req');
      const accepted = connection.call(async (trpc, options) => {
        const { eventId } = await trpc.input.send.mutate(
          { sessionId, inputId, content, model, whenBusy, requestId },
          options,
        );
        return eventId;
      });
      return createRun({ connection, sessionId, inputId, accepted });
    },
    events: (options = {}) => ({ [Symbol.asyncIterator]: () => connection.watch({ sessionId, ...options }) }),
    items: (page = {}) => connection.call((trpc, options) => trpc.session.items.query({ sessionId, ...page }, options)),
    async cancel() {
      await connection.call((trpc, options) => trpc.run.cancel.mutate({ sessionId }, options));
    },
    async delete() {
      await connection.call((trpc, options) => trpc.session.delete.mutate({ sessionId }, options));
    },
  };
}
