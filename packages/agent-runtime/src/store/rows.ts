import {
  type Approval,
  type Input,
  type Item,
  type NewSessionEvent,
  type RememberedRule,
  type Resolution,
  type Run,
  type Session,
  type SessionEvent,
  transformer,
} from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import type { Selectable } from 'kysely';
import type { Database } from './schema.ts';
import type { AnnouncedTool, ModelOnly, StoredInput, StoredItem, StoredSession } from './store.ts';

type Row<T extends keyof Database> = Selectable<Database[T]>;
type EventRow = Pick<Row<'session_events'>, 'session_id' | 'seq' | 'ts' | 'data'>;

/** Returns the event as its row has it: an item's beginning and end without the item, which has a row of its own. */
export function toEventData(event: NewSessionEvent): string {
  if (event.type === 'item.completed') return JSON.stringify({ itemId: event.item.itemId });
  if (event.type === 'item.started') return JSON.stringify({ startedItemId: event.item.itemId });
  return JSON.stringify({ event: transformer.serialize(event) });
}

/**
 * Turns rows into what they stand for. A row that cannot be read (changed by hand, a broken disk) hides no other: it is logged, and left out or
 * stood in for by something that says so.
 */
export function createRows(log: Logger) {
  const read = <T>(table: string, sessionId: string, id: string, parse: () => T): T | undefined => {
    try {
      return parse();
    } catch (err) {
      log.error({ err, table, sessionId, id, event: 'row.unreadable' }, `a row of ${table} cannot be read`);
      return undefined;
    }
  };

  const toInput = (row: Row<'inputs'>, data: Pick<StoredInput, 'input' | 'whenBusy' | 'agent' | 'attachments'>) => ({
    ...data,
    input: { ...data.input, sessionId: row.session_id },
    position: row.position,
    sentFingerprint: row.sent_with,
    requestId: row.request_id,
    eventId: row.event_id,
  });
  const readInput = (row: Row<'inputs'>) =>
    read('inputs', row.session_id, row.input_id, () => {
      const data = object<Pick<StoredInput, 'input' | 'whenBusy' | 'agent' | 'attachments'>>(row.data);
      return toInput(row, { ...data, input: dated(data.input, ['createdAt']) });
    });

  return {
    session(row: Row<'sessions'>): StoredSession {
      const { session_id: sessionId, number, created_with: createdWith } = row;
      const session =
        read('sessions', sessionId, sessionId, () => dated(object<Session>(row.data), ['createdAt', 'updatedAt'])) ??
        unreadableSession(row);
      const tools = read('sessions', sessionId, sessionId, () => list<AnnouncedTool>(row.tools)) ?? [];
      return {
        number,
        session,
        createdFingerprint: createdWith,
        tools,
        seq: row.last_seq,
        eventBytes: row.event_bytes,
      };
    },

    item(row: Row<'items'>): StoredItem {
      const { session_id: sessionId, item_id: itemId, position, hidden } = row;
      const item =
        read('items', sessionId, itemId, () => dated(object<Item>(row.data), ['createdAt'])) ?? unreadableItem(itemId);
      const forModel = hidden === null ? undefined : read('items', sessionId, itemId, () => object<ModelOnly>(hidden));
      return { position, item, ...(forModel === undefined ? {} : { modelOnly: forModel }) };
    },

    input: (row: Row<'inputs'>): StoredInput =>
      readInput(row) ?? toInput(row, { input: unreadableInput(row), whenBusy: 'queue' }),

    /** Those that can be read: nobody knows what the others ask for. */
    inputs: (rows: Array<Row<'inputs'>>): StoredInput[] => rows.flatMap((row) => readInput(row) ?? []),

    run: (row: Pick<Row<'runs'>, 'session_id' | 'run_id' | 'data'>): { run: Run; isCancelled: boolean } | undefined =>
      read('runs', row.session_id, row.run_id, () => {
        const { isCancelled, ...run } = object<Run & { isCancelled: boolean }>(row.data);
        return { run: dated(run, ['startedAt', 'finishedAt']), isCancelled };
      }),

    approval: (
      row: Pick<Row<'approvals'>, 'session_id' | 'call_id' | 'data'>,
    ): (Approval & { resolution?: Resolution }) | undefined =>
      read('approvals', row.session_id, row.call_id, () =>
        dated(object<Approval & { resolution?: Resolution }>(row.data), ['createdAt', 'deadline']),
      ),

    /** A rule that cannot be read may have denied anything, and so denies everything until somebody deletes it. */
    rule: (row: Row<'rules'>, sessionId: string): RememberedRule =>
      read('rules', sessionId, row.rule_id, () => ({
        ...dated(object<RememberedRule>(row.data), ['createdAt']),
        ruleId: row.rule_id,
      })) ?? {
        ruleId: row.rule_id,
        tool: '*',
        resource: '**',
        effect: 'deny',
        scope: row.session_id === null ? 'project' : 'session',
        createdAt: new Date(0),
      },

    /** The item that an event tells the end of, where it does. */
    itemIdOf: (row: EventRow): string | undefined => /^\{"(?:itemId|startedItemId)":"([^"]*)"/.exec(row.data)?.[1],

    /** Undefined where it cannot be read: whoever comes upon that gap begins anew. */
    event(row: EventRow, items: Map<string, Item>): SessionEvent | undefined {
      const { seq, ts } = row;
      const event = read('session_events', row.session_id, String(seq), (): NewSessionEvent => {
        const data = object<{
          itemId?: string;
          startedItemId?: string;
          event?: Parameters<typeof transformer.deserialize>[0];
        }>(row.data);
        if (data.startedItemId !== undefined)
          return { type: 'item.started', item: items.get(data.startedItemId) ?? unreadableItem(data.startedItemId) };
        if (data.itemId !== undefined)
          return { type: 'item.completed', item: items.get(data.itemId) ?? unreadableItem(data.itemId) };
        return transformer.deserialize(data.event as never) as NewSessionEvent;
      });
      return event && ({ ...event, seq, ts } as SessionEvent);
    },

    result: (row: Row<'results'>): string | undefined =>
      read('results', row.session_id, row.result_id, () => text(row.data)),
  };
}

function object<T>(json: string): T {
  const value: unknown = JSON.parse(json);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('it is not an object');
  return value as T;
}

function list<T>(json: string): T[] {
  const value: unknown = JSON.parse(json);
  if (!Array.isArray(value)) throw new TypeError('it is not a list');
  return value;
}

function text(json: string): string {
  const value: unknown = JSON.parse(json);
  if (typeof value !== 'string') throw new TypeError('it is not a text');
  return value;
}

/** The value, with what it names as dates. The first one must be there. */
function dated<T extends object>(value: T, [first, ...rest]: [keyof T, ...Array<keyof T>]): T {
  for (const name of [first, ...rest]) {
    if (value[name] === undefined && name !== first) continue;
    const date = new Date(value[name] as string);
    if (Number.isNaN(date.getTime())) throw new TypeError(`its ${String(name)} is no date`);
    value[name] = date as never;
  }
  return value;
}

function unreadableSession({ session_id: sessionId, project }: Row<'sessions'>): Session {
  const never = new Date(0);
  return {
    sessionId,
    title: 'This session cannot be read: the log of agent-runtime says why',
    agent: 'unknown',
    model: 'default',
    project,
    metadata: {},
    createdAt: never,
    updatedAt: never,
  };
}

function unreadableItem(itemId: string): Item {
  return {
    itemId,
    runId: '',
    step: 0,
    kind: 'notice',
    text: 'This entry cannot be read: the log of agent-runtime says why.',
    status: 'completed',
    createdAt: new Date(0),
  };
}

function unreadableInput({ session_id: sessionId, input_id: inputId, status, run_id: runId }: Row<'inputs'>): Input {
  return {
    inputId,
    sessionId,
    content: 'This message cannot be read any more.',
    status,
    ...(runId === null ? {} : { runId }),
    createdAt: new Date(0),
  };
}
