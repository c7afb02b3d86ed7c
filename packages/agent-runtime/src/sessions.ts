import {
  CodelabError,
  type Input,
  type InputRef,
  type InputSend,
  type InputSent,
  type Item,
  type ItemPage,
  type NewSessionEvent,
  newId,
  noUsage,
  type Run,
  type RunCancel,
  type Session,
  type SessionCreate,
  type SessionEvents,
  type SessionItems,
  type SessionList,
  type SessionState,
  type SessionUpdate,
  type TrackedEvent,
  toWireError,
} from '@codelab/protocol';
import type { Lifecycle, Logger } from '@codelab/service-kit';
import { createEventLog, createLogBudget, type EventLog } from './event-log.ts';
import { type History, parseCursor, toCursor, toMessages, toPage } from './history.ts';
import type { Llm } from './llm.ts';
import { runLoop } from './run-loop.ts';

const SNAPSHOT_ITEMS = 200;

interface SessionRecord extends History {
  /** Sessions are listed by it, newest first. */
  number: number;
  session: Session;
  /** What it was created with, to tell a repetition from a clash. */
  createdWith: string;
  inputs: Map<string, { input: Input; sentWith: string; eventId: string; requestId: string }>;
  queue: string[];
  runs: Map<string, Run>;
  active: { runId: string; abort: AbortController; done: Promise<void> } | undefined;
  log: EventLog;
}

export interface CallOptions {
  requestId: string;
  log: Logger;
  lifecycle: Lifecycle;
}

export interface ReadEventsOptions {
  signal: AbortSignal | undefined;
  draining: AbortSignal;
}

/** All sessions: kept in memory, each with its history, its queue and at most one active run. */
export interface Sessions {
  create(input: SessionCreate): { session: Session; replayed: boolean };
  get(sessionId: string): Session;
  list(input: SessionList): { sessions: Session[]; nextCursor?: string };
  update(input: SessionUpdate): Session;
  delete(sessionId: string): Promise<{ deleted: boolean }>;
  items(input: SessionItems): ItemPage;
  events(input: SessionEvents, options: ReadEventsOptions): AsyncGenerator<TrackedEvent, void, undefined>;
  send(input: InputSend, options: CallOptions): InputSent;
  /** Takes back an input that still waits. Throws `INPUT_ALREADY_DELIVERED`, with `{runId}` as details, where it is too late. */
  cancelInput(input: InputRef): { status: 'cancelled' };
  run(sessionId: string, runId: string): Run;
  cancel(input: RunCancel): { status: 'cancelling' | 'already_finished' };
  /** Cancels every active run and waits until each has ended. */
  stop(): Promise<void>;
}

export interface SessionsOptions {
  llm: Llm;
  defaultModel: string;
  maxSessions: number;
}

export function createSessions({ llm, defaultModel, maxSessions }: SessionsOptions): Sessions {
  const records = new Map<string, SessionRecord>();
  const budget = createLogBudget();
  let lastNumber = 0;

  const find = (sessionId: string): SessionRecord => {
    const record = records.get(sessionId);
    if (record === undefined) throw new CodelabError('NOT_FOUND', `There is no session "${sessionId}".`);
    return record;
  };

  const create = (input: SessionCreate): { session: Session; replayed: boolean } => {
    const createdWith = JSON.stringify([input.title, input.model, sorted(input.metadata)]);
    const existing = input.sessionId === undefined ? undefined : records.get(input.sessionId);
    if (existing !== undefined) {
      if (existing.createdWith === createdWith) return { session: existing.session, replayed: true };
      throw new CodelabError(
        'IDEMPOTENCY_MISMATCH',
        `The session "${input.sessionId}" exists, and was created with other values.`,
      );
    }
    if (records.size >= maxSessions) {
      throw new CodelabError(
        'OVERLOADED',
        `There are ${maxSessions} sessions, the most allowed. Delete some, or raise AGENT_RUNTIME__MAX_SESSIONS.`,
      );
    }
    const now = new Date();
    const record: SessionRecord = {
      number: ++lastNumber,
      session: {
        sessionId: input.sessionId ?? newId('ses'),
        title: input.title ?? '',
        model: input.model ?? defaultModel,
        metadata: input.metadata ?? {},
        createdAt: now,
        updatedAt: now,
      },
      createdWith,
      inputs: new Map(),
      queue: [],
      runs: new Map(),
      items: [],
      open: undefined,
      active: undefined,
      log: createEventLog({
        budget,
        snapshot: () => toPage(record, { limit: SNAPSHOT_ITEMS }),
        state: () => stateOf(record),
        openItem: () => record.open,
      }),
    };
    records.set(record.session.sessionId, record);
    record.log.append({ type: 'session.updated', session: record.session });
    return { session: record.session, replayed: false };
  };

  const startNext = (record: SessionRecord, options: Omit<CallOptions, 'requestId'>): void => {
    const inputId = record.active === undefined ? record.queue.shift() : undefined;
    const sent = inputId === undefined ? undefined : record.inputs.get(inputId);
    if (sent === undefined) {
      record.log.append({ type: 'session.state', ...stateOf(record) });
      return;
    }
    const { input, requestId } = sent;
    const runId = newId('run');
    const run: Run = {
      runId,
      sessionId: record.session.sessionId,
      inputId: input.inputId,
      model: input.model ?? record.session.model,
      status: 'running',
      usage: noUsage,
      startedAt: new Date(),
    };
    record.runs.set(runId, run);
    const abort = new AbortController();
    record.active = { runId, abort, done: Promise.resolve() };
    record.active.done = work(record, run, sent, abort.signal, { ...options, log: options.log.child({ requestId }) });
  };

  const work = async (
    record: SessionRecord,
    run: Run,
    { input, requestId }: { input: Input; requestId: string },
    signal: AbortSignal,
    options: Omit<CallOptions, 'requestId'>,
  ): Promise<void> => {
    const { runId, model } = run;
    const log = options.log.child({ sessionId: run.sessionId, runId });
    const done = options.lifecycle.begin();
    const emit = (event: NewSessionEvent) => {
      apply(record, event);
      record.log.append(event);
    };
    input.status = 'delivered';
    input.runId = runId;
    emit({ type: 'session.state', ...stateOf(record) });
    emit({ type: 'input.delivered', inputId: input.inputId, runId });
    emit({ type: 'run.started', runId, inputId: input.inputId, model });
    const said: Item = {
      itemId: newId('item'),
      runId,
      inputId: input.inputId,
      kind: 'user_message',
      text: '',
      status: 'in_progress',
      createdAt: new Date(),
    };
    emit({ type: 'item.started', item: { ...said } });
    emit({ type: 'item.completed', item: { ...said, text: input.content, status: 'completed' } });
    log.info({ model }, 'run started');
    try {
      for await (const event of runLoop({ runId, model, messages: toMessages(record.items), llm, signal, requestId }))
        emit(event);
    } catch (err) {
      log.error({ err }, 'the run failed by a mistake of ours');
      if (record.open !== undefined) emit({ type: 'item.completed', item: { ...record.open, status: 'incomplete' } });
      emit({
        type: 'run.finished',
        runId,
        status: 'failed',
        usage: run.usage,
        error: toWireError(new CodelabError('INTERNAL'), requestId),
      });
    }
    log.info(
      { status: run.status, code: run.error?.code, usage: run.usage, ms: Date.now() - run.startedAt.getTime() },
      'run finished',
    );
    record.active = undefined;
    startNext(record, options);
    done();
  };

  return {
    create,
    get: (sessionId) => find(sessionId).session,

    list({ cursor, limit }) {
      const before = cursor === undefined ? Number.POSITIVE_INFINITY : parseCursor(cursor);
      const older = [...records.values()].reverse().filter(({ number }) => number < before);
      const page = older.slice(0, limit);
      const last = page.at(-1);
      return {
        sessions: page.map(({ session }) => session),
        ...(older.length > limit && last !== undefined ? { nextCursor: toCursor(last.number) } : {}),
      };
    },

    update({ sessionId, title, model, metadata }) {
      const record = find(sessionId);
      const { session } = record;
      record.session = {
        ...session,
        title: title ?? session.title,
        model: model ?? session.model,
        metadata: metadata ?? session.metadata,
        updatedAt: new Date(),
      };
      record.log.append({ type: 'session.updated', session: record.session });
      return record.session;
    },

    async delete(sessionId) {
      const record = records.get(sessionId);
      if (record === undefined) return { deleted: false };
      records.delete(sessionId);
      for (const inputId of record.queue.splice(0)) cancelQueued(record, inputId);
      record.active?.abort.abort();
      await record.active?.done;
      record.log.close();
      return { deleted: true };
    },

    items: ({ sessionId, cursor, limit }) =>
      toPage(find(sessionId), { limit, ...(cursor === undefined ? {} : { before: parseCursor(cursor) }) }),

    events: ({ sessionId, lastEventId, from }, { signal, draining }) =>
      find(sessionId).log.read({ lastEventId, from, signal, draining }),

    send({ sessionId, inputId, content, model, whenBusy, createSession }, options) {
      if (createSession && !records.has(sessionId)) create({ sessionId });
      const record = find(sessionId);
      const sentWith = JSON.stringify([content, model]);
      const before = record.inputs.get(inputId);
      if (before !== undefined) {
        if (before.sentWith !== sentWith)
          throw new CodelabError(
            'IDEMPOTENCY_MISMATCH',
            `The input "${inputId}" was sent before, with another content.`,
          );
        return { inputId, status: before.input.status, replayed: true, eventId: before.eventId };
      }
      const isBusy = record.active !== undefined;
      if (isBusy && whenBusy === 'reject') throw new CodelabError('SESSION_BUSY', undefined, { retryAfterMs: 1000 });
      const input: Input = {
        inputId,
        sessionId,
        content,
        ...(model === undefined ? {} : { model }),
        status: 'queued',
        createdAt: new Date(),
      };
      const eventId = record.log.append({ type: 'input.accepted', input: { ...input } });
      record.inputs.set(inputId, { input, sentWith, eventId, requestId: options.requestId });
      record.queue.push(inputId);
      startNext(record, options);
      return { inputId, status: input.status, replayed: false, eventId };
    },

    cancelInput({ sessionId, inputId }) {
      const record = find(sessionId);
      const input = record.inputs.get(inputId)?.input;
      if (input === undefined)
        throw new CodelabError('NOT_FOUND', `There is no input "${inputId}" in the session "${sessionId}".`);
      if (input.status === 'delivered')
        throw new CodelabError('INPUT_ALREADY_DELIVERED', undefined, { details: { runId: input.runId } });
      if (input.status === 'queued') {
        record.queue.splice(record.queue.indexOf(inputId), 1);
        cancelQueued(record, inputId);
        record.log.append({ type: 'session.state', ...stateOf(record) });
      }
      return { status: 'cancelled' };
    },

    run(sessionId, runId) {
      const run = find(sessionId).runs.get(runId);
      if (run === undefined)
        throw new CodelabError('NOT_FOUND', `There is no run "${runId}" in the session "${sessionId}".`);
      return run;
    },

    cancel({ sessionId, runId }) {
      const { active, runs } = find(sessionId);
      if (active !== undefined && (runId === undefined || runId === active.runId)) {
        active.abort.abort();
        return { status: 'cancelling' };
      }
      if (runId !== undefined && !runs.has(runId))
        throw new CodelabError('NOT_FOUND', `There is no run "${runId}" in the session "${sessionId}".`);
      return { status: 'already_finished' };
    },

    async stop() {
      const active = [...records.values()].flatMap((record) => {
        record.queue.length = 0;
        return record.active ?? [];
      });
      for (const { abort } of active) abort.abort();
      await Promise.all(active.map(({ done }) => done));
    },
  };
}

function cancelQueued(record: SessionRecord, inputId: string): void {
  const sent = record.inputs.get(inputId);
  if (sent !== undefined) sent.input.status = 'cancelled';
  record.log.append({ type: 'input.cancelled', inputId });
}

function stateOf({ active, queue }: SessionRecord): SessionState {
  return active === undefined
    ? { state: 'idle', queued: queue.length }
    : { state: 'running', runId: active.runId, queued: queue.length };
}

/** Keeps the record as the events say. */
function apply(record: SessionRecord, event: NewSessionEvent): void {
  switch (event.type) {
    case 'item.started':
      record.open = { ...event.item };
      break;
    case 'item.delta':
      if (record.open !== undefined) record.open.text += event.text;
      break;
    case 'item.completed':
      record.open = undefined;
      record.items.push(event.item);
      break;
    case 'run.finished': {
      const run = record.runs.get(event.runId);
      if (run === undefined) break;
      run.status = event.status;
      run.usage = event.usage;
      run.finishedAt = new Date();
      if (event.error !== undefined) run.error = event.error;
    }
  }
}

function sorted(metadata: { [name: string]: string } | undefined): Array<[string, string]> | undefined {
  return metadata === undefined ? undefined : Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
}
