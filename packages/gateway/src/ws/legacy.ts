import {
  BoundedMap,
  CodelabError,
  createEventMender,
  createLegacyFrames,
  createLegacyToolFrames,
  createLegacyWaits,
  LegacyClientFrame,
  type LegacyFrame,
  type LegacyToolFrame,
  type LegacyWaitingFrame,
  type NewSessionEvent,
  newId,
  type SessionEvent,
  SessionId,
  standardTools,
  toErrorFrame,
  toSwitchedFrame,
} from '@codelab/protocol';
import {
  historyOf,
  logFailure,
  type SocketConnection,
  type SocketEndpoint,
  toCodelabError,
  toInputId,
  toValidationError,
  untracked,
} from '@codelab/service-kit';
import type { createRouter } from '../router.ts';

const PATH = /^\/ws\/([^/]*)$/;
/** The most messages of one connection that wait for their turn. */
const MAX_WAITING = 100;
/** The messages of one connection that are recognised when they are sent again. */
const MAX_KNOWN = 1_000;
/** The client id of older clients, which cannot announce their tools. */
const CLIENT_ID = 'ide';

/** `/ws/{session_id}`: the raw WebSocket of older IDE clients. PROTOCOL.md §8. */
export function createLegacyDoor(router: ReturnType<typeof createRouter>): SocketEndpoint {
  return {
    matches: (path) => PATH.test(path),
    open: (connection) => openConnection(router, connection),
  };
}

function openConnection(router: ReturnType<typeof createRouter>, { socket, url, context, closed }: SocketConnection) {
  const sessionId = decode(PATH.exec(url.pathname)?.[1] ?? '');
  const validId = SessionId.safeParse(sessionId);
  const caller = router.createCaller(context, { signal: closed });
  const connectionId = context.requestId;

  const send = (
    frame: LegacyFrame | LegacyToolFrame | LegacyWaitingFrame | { status: 'received'; message_id: string },
  ) => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(frame));
  };
  const refuse = (error: CodelabError, requestId = newId('req')) => {
    logFailure(context.log.child({ requestId }), error, '/ws/{session_id}');
    send(toErrorFrame(error, requestId));
  };

  /** Resolves once this connection reads the session's events: then a message may be sent. */
  let watching: Promise<void> | undefined;
  const tools = createLegacyToolFrames();
  /** Inputs that this connection has sent, and what it calls them: one that is sent again has been shown, or will be. */
  const known = new BoundedMap<string, string | undefined>(MAX_KNOWN);
  const frames = createLegacyFrames({ isOwn: (inputId) => known.has(inputId) });
  const waits = createLegacyWaits((inputId) => known.get(inputId));
  const history = historyOf(caller, sessionId);
  const sending = new Set<string>();
  const mender = createEventMender<SessionEvent>(
    {
      ...history,
      // One that is on its way is waited for, as one that waits.
      input: (inputId) =>
        history.input(inputId).catch((error) => {
          if (!sending.has(inputId) || toCodelabError(error).code !== 'NOT_FOUND') throw error;
          return { status: 'queued' };
        }),
    },
    { runsOf: 'session' },
  );
  /** Resolves once the frames so far are sent: they are made in the order of the events. */
  let showing = Promise.resolve();
  const show = (read: () => NewSessionEvent[] | Promise<NewSessionEvent[]>): Promise<void> => {
    const shown = showing.then(async () => {
      for (const event of await read()) {
        const name = event.type === 'input.cancelled' ? known.get(event.inputId) : undefined;
        for (const frame of [...tools.push(event), ...frames.push(event)])
          send(name === undefined ? frame : { ...frame, message_id: name });
        for (const frame of waits.push(event)) send(frame);
      }
    });
    showing = shown.catch(() => {});
    return shown;
  };
  let isPrepared = false;
  const watch = (lastEventId?: string): Promise<void> =>
    new Promise((ready) => {
      const follow = async () => {
        const events = await caller.session.events({ sessionId, lastEventId, clientId: CLIENT_ID });
        for await (const event of untracked<SessionEvent>(events)) {
          ready();
          await show(() => mender.push(event));
          await context.backpressure.writable(closed);
        }
      };
      follow()
        .catch((thrown) => {
          if (!closed.aborted) refuse(toCodelabError(thrown));
        })
        .finally(() => {
          watching = undefined;
          // It may be over because the session was deleted.
          isPrepared = false;
          ready();
        });
    });

  /** Creates the session where it does not exist, and announces the standard tools. */
  const prepare = async (): Promise<void> => {
    if (isPrepared) return;
    const exists = await caller.session.get({ sessionId }).then(
      () => true,
      () => false,
    );
    // Another connection may be making it.
    if (!exists) await caller.session.create({ sessionId }).catch(ignoreMismatch);
    const known = await caller.tool.list({ sessionId });
    if (!known.tools.some(({ target, connected }) => target === 'client' && connected === true))
      await caller.tool.announce({ sessionId, clientId: CLIENT_ID, tools: Object.values(standardTools) });
    isPrepared = true;
  };

  /** Runs `work` in the session, which is created anew where it has been deleted. */
  const inSession = async <T>(work: () => Promise<T>): Promise<T> => {
    await prepare();
    try {
      return await work();
    } catch (error) {
      if (toCodelabError(error).code !== 'NOT_FOUND') throw error;
      isPrepared = false;
      await prepare();
      return work();
    }
  };

  const sendInput = async (inputId: string, content: string, messageId: string | undefined, requestId: string) => {
    const isNew = !known.has(inputId);
    if (isNew) {
      known.set(inputId, messageId);
      mender.expect(inputId);
    }
    sending.add(inputId);
    try {
      const sent = await inSession(() => caller.input.send({ sessionId, inputId, content, requestId }));
      return { ...sent, isNew };
    } catch (error) {
      // One that was sent before is shown all the same.
      if (isNew) {
        mender.forget(inputId);
        known.delete(inputId);
      }
      throw error;
    } finally {
      sending.delete(inputId);
    }
  };

  const say = async (
    content: string,
    messageId: string | undefined,
    requestId: string,
    // A client that numbers its messages starts anew with each connection.
    inputId = messageId === undefined ? newId('in') : toInputId(connectionId, messageId),
  ): Promise<void> => {
    const { eventId, isNew, replayed, status, runId } = await sendInput(inputId, content, messageId, requestId);
    if (messageId !== undefined) send({ status: 'received', message_id: messageId });
    if (watching === undefined) watching = watch(eventId);
    // Over another connection, and its events are not seen here, or not from their beginning.
    else if (isNew && replayed && runId !== undefined) await show(() => mender.catchUp(inputId, runId));
    else if (isNew && replayed && status === 'cancelled') {
      mender.forget(inputId);
      await show(() => [{ type: 'input.cancelled', inputId }]);
    }
  };

  const take = async (text: string): Promise<void> => {
    const requestId = newId('req');
    try {
      if (!validId.success) throw toValidationError(validId.error);
      const frame = parseFrame(text);
      switch (frame.type) {
        case 'user_message':
          return await say(frame.content, frame.message_id, requestId, frame.input_id);
        case 'tool_result': {
          const { call_id: callId, result, error } = frame;
          const outcome = typeof error === 'string' ? { error } : { result };
          // This client makes a call as soon as it is told of it, and may know of no decision but the result.
          await caller.tool.result({ sessionId, callId, ...outcome, decides: true, requestId });
          return;
        }
        case 'hitl_decision': {
          const { call_id: callId, decision, modified_arguments: edited, feedback } = frame;
          // The client runs the tool right away: it must not be told to once more.
          if (decision !== 'reject') tools.deciding(callId);
          try {
            await caller.approval.decide({
              sessionId,
              callId,
              decision: decision === 'approve' ? 'allow' : decision,
              ...(decision === 'edit' && edited != null ? { arguments: edited } : {}),
              ...(feedback == null ? {} : { feedback }),
              requestId,
            });
            tools.decided(callId);
          } catch (error) {
            // Somebody else may say yes, or has.
            for (const untold of tools.refused(callId)) send(untold);
            throw error;
          }
          return;
        }
        case 'switch_agent': {
          await prepare();
          watching ??= watch();
          await watching;
          const { agent_type: agent, content, reason, message_id: messageId } = frame;
          const { from, to } = await inSession(() =>
            caller.agent.switch({ sessionId, agent, reason: reason ?? '', requestId }),
          );
          if (from === to) send(toSwitchedFrame({ from, to, reason: reason ?? '' }));
          if (content.trim() !== '') await say(content, messageId, requestId);
          else if (messageId !== undefined) send({ status: 'received', message_id: messageId });
        }
      }
    } catch (thrown) {
      refuse(toCodelabError(thrown), requestId);
    }
  };

  // Where the session exists, what others ask in it is seen from the start; else it begins with the first message.
  const arrive = async () => {
    if (!validId.success) return refuse(toValidationError(validId.error));
    const exists = await caller.session.get({ sessionId }).then(
      () => true,
      () => false,
    );
    if (!exists) return;
    watching = watch();
    await watching;
  };

  let waiting = 0;
  let turn = arrive();
  return {
    receive(text: string) {
      if (waiting >= MAX_WAITING)
        return refuse(new CodelabError('OVERLOADED', `${MAX_WAITING} messages of this connection wait already.`));
      waiting++;
      turn = turn.then(() => take(text)).finally(() => waiting--);
    },
    refuse,
  };
}

function ignoreMismatch(thrown: unknown): void {
  const error = toCodelabError(thrown);
  if (error.code !== 'IDEMPOTENCY_MISMATCH') throw error;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Parses a client's frame. Throws `VALIDATION`. */
function parseFrame(text: string) {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CodelabError('VALIDATION', `The frame is not JSON: ${(cause as Error).message}`, { cause });
  }
  const frame = LegacyClientFrame.safeParse(json);
  if (!frame.success) throw toValidationError(frame.error);
  return frame.data;
}
