import type { Item, ItemKind, NewSessionEvent, Rule } from '@codelab/protocol';
import type { Agents } from '../agents/agents.ts';
import type { Statements, StoredItem } from '../store/store.ts';
import { type RunState, type SessionState, toShownState } from './state.ts';

/** A change of one row: the name of the statement, and what it takes. */
export type Row = { [K in keyof Statements]: [statement: K, ...values: Parameters<Statements[K]>] }[keyof Statements];

/** `away`: cut off so shortly ago that it may come back. */
export type Presence = 'here' | 'away' | 'gone';

/** The parameters of a decision besides the state and the input. */
export interface Env {
  now: number;
  newId(prefix: string): string;
  agents: Pick<Agents, 'find' | 'get'>;
  /** All that count, those of the agent first. */
  rules: readonly Rule[];
  /** No run begins. */
  isDraining: boolean;
  /** Whether a client is connected. */
  presence(clientId: string): Presence;
  settings: { model: string; maxSteps: number; toolTimeoutMs: number; clientTimeoutMs: number };
}

/** The outcome of an input. It counts once it is committed: events and rows in one transaction, then `next` is the state. */
export interface Decision<A = unknown> {
  next: SessionState;
  events: NewSessionEvent[];
  rows: Row[];
  answer: A;
}

/** A decision in the making. */
export interface Draft {
  state: SessionState;
  readonly env: Env;
  emit(event: NewSessionEvent): void;
  put(...row: Row): void;
  /** Changes the run. */
  setRun(changes: Partial<RunState>): void;
  /** Puts the row of the run, as it is now. */
  putRun(): void;
  /** A whole item at the end of the history, as the next row and event. */
  addItem(kind: ItemKind, fields: Partial<Item>, modelOnly?: StoredItem['modelOnly']): StoredItem;
  /** Tells `session.state` where it has changed since it was last told. */
  stateChanged(): void;
  decided<A>(answer: A): Decision<A>;
}

export function createDraft(from: SessionState, env: Env): Draft {
  const events: NewSessionEvent[] = [];
  const rows: Row[] = [];
  let shown = JSON.stringify(toShownState(from));
  const draft: Draft = {
    state: from,
    env,
    emit: (event) => void events.push(event),
    put: (...row) => void rows.push(row),
    setRun(changes) {
      const { run } = draft.state;
      if (run !== undefined) draft.state = { ...draft.state, run: { ...run, ...changes } };
    },
    putRun() {
      const { run } = draft.state;
      if (run === undefined) return;
      const { attempts } = run;
      draft.put('run', { run: run.run, attempts, isCancelled: run.isCancelled && run.run.status === 'running' });
    },
    addItem(kind, fields, modelOnly) {
      const item: Item = {
        itemId: env.newId('item'),
        runId: draft.state.run?.run.runId ?? '',
        step: 0,
        kind,
        text: '',
        status: 'completed',
        createdAt: new Date(env.now),
        ...fields,
      };
      const position = draft.state.position + 1;
      draft.state = { ...draft.state, position };
      const stored: StoredItem = { position, item, ...(modelOnly === undefined ? {} : { modelOnly }) };
      draft.put('item', draft.state.stored.session.sessionId, stored);
      draft.emit({ type: 'item.completed', item });
      return stored;
    },
    stateChanged() {
      const state = toShownState(draft.state);
      const now = JSON.stringify(state);
      if (now === shown) return;
      shown = now;
      draft.emit({ type: 'session.state', ...state });
    },
    decided: (answer) => ({ next: draft.state, events, rows, answer }),
  };
  return draft;
}
