import { CodelabError } from '@codelab/protocol';
import { expect, it } from 'vitest';
import type { Connection } from './connection.ts';
import { createRun } from './run.ts';
import type { Item, SessionEvent, TrackedSessionEvent } from './types.ts';

const usage = { inputTokens: 1, outputTokens: 2, cachedTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };
const item = (text: string, overrides: Partial<Item> = {}): Item => ({
  itemId: 'answer',
  runId: 'run1',
  step: 1,
  kind: 'assistant_message',
  text,
  status: 'in_progress',
  createdAt: new Date(0),
  ...overrides,
});
const asked = item('question', { itemId: 'question', kind: 'user_message', inputId: 'in1', status: 'completed' });
type Body<E> = E extends unknown ? Omit<E, 'seq' | 'ts'> : never;
const delivered: Body<SessionEvent> = { type: 'input.delivered', inputId: 'in1', runId: 'run1' };
const started: Body<SessionEvent> = { type: 'item.started', item: item('') };
const delta = (text: string, offset: number): Body<SessionEvent> => ({
  type: 'item.delta',
  itemId: 'answer',
  text,
  offset,
});
const completed = (text: string): Body<SessionEvent> => ({
  type: 'item.completed',
  item: item(text, { status: 'completed' }),
});
const finished: Body<SessionEvent> = { type: 'run.finished', runId: 'run1', status: 'completed', usage };
const reset = (...items: Item[]): Body<SessionEvent> => ({ type: 'stream.reset', reason: 'cursor_expired', items });
const synced = (state: 'idle' | 'running'): Body<SessionEvent> => ({ type: 'stream.synced', state, queued: 0 });

interface Stored {
  /** The answer of `run.get`. */
  status?: string;
  /** The answer of `session.items`. */
  items?: Item[];
  /** The answer of `input.get`. */
  input?: object;
}

/** A run whose session has these events, and this history. */
function play(events: Body<SessionEvent>[], { status = 'running', items = [], input }: Stored = {}) {
  const trpc = {
    session: { items: { query: async () => ({ items }) } },
    run: { get: { query: async () => ({ status, usage }) } },
    input: {
      get: {
        query: async () => {
          if (input === undefined) throw new CodelabError('NOT_FOUND');
          return input;
        },
      },
    },
  };
  const connection = {
    call: (ask: (client: typeof trpc, options: object) => unknown) => ask(trpc, {}),
    async *watch() {
      for (const [index, event] of events.entries())
        yield { ...event, seq: index, ts: 0, id: `e-${index}` } as TrackedSessionEvent;
      await new Promise(() => {});
    },
    close: () => {},
  } as unknown as Connection;
  return createRun({
    connection,
    sessionId: 's1',
    inputId: 'in1',
    accepted: Promise.resolve({ eventId: 'e-0', runId: undefined }),
  });
}
async function textOf(run: ReturnType<typeof play>): Promise<string[]> {
  const parts: string[] = [];
  for await (const part of run.textStream) parts.push(part);
  return parts;
}

it('streams the answer, and nothing of other runs', async () => {
  const other: Body<SessionEvent>[] = [
    { type: 'item.started', item: item('', { itemId: 'other', runId: 'run2' }) },
    { type: 'item.delta', itemId: 'other', text: 'not this', offset: 0 },
    { type: 'run.finished', runId: 'run2', status: 'completed', usage },
  ];
  const run = play([
    delivered,
    started,
    ...other,
    delta('Hel', 0),
    synced('running'),
    delta('lo', 3),
    completed('Hello'),
    finished,
  ]);
  expect(await textOf(run)).toEqual(['Hel', 'lo']);
  expect(await run.finished()).toEqual({ runId: 'run1', status: 'completed', text: 'Hello', usage });
});

it('drops what comes twice, and takes from the whole item what never came', async () => {
  expect(
    await textOf(play([delivered, started, delta('abc', 0), delta('bcd', 1), completed('abcdef'), finished])),
  ).toEqual(['abc', 'd', 'ef']);
});

it('goes on token by token after a reset in the middle', async () => {
  const run = play([
    delivered,
    started,
    delta('one', 0),
    reset(asked, item('one two')),
    synced('running'),
    delta(' three', 7),
    completed('one two three'),
    finished,
  ]);
  expect(await textOf(run)).toEqual(['one', ' two', ' three']);
  expect((await run.finished()).text).toBe('one two three');
});

it('finds its run in a reset that came before it knew it', async () => {
  expect(
    await textOf(
      play([reset(asked, item('one')), synced('running'), delta(' two', 3), completed('one two'), finished]),
    ),
  ).toEqual(['one', ' two']);
});

it('waits for what comes after a reset, even if the run has ended meanwhile', async () => {
  const atWork: Body<SessionEvent> = { type: 'stream.synced', state: 'running', runId: 'run1', queued: 0 };
  const run = play([reset(asked), atWork, started, delta('one', 0), completed('one'), finished], {
    status: 'completed',
  });
  expect(await run.finished()).toMatchObject({ status: 'completed', text: 'one' });
});

it('ends when the run ended in what was reset', async () => {
  const run = play([delivered, started, delta('one', 0), reset(asked, item('one two')), synced('idle')], {
    status: 'completed',
    items: [asked, item('one two', { status: 'completed' })],
  });
  expect(await textOf(run)).toEqual(['one', ' two']);
  expect(await run.finished()).toMatchObject({ status: 'completed', text: 'one two' });
});

it('finds in the history a run of which no event is left', async () => {
  const stored = {
    status: 'completed',
    items: [asked, item('one two', { status: 'completed' })],
    input: { status: 'delivered', runId: 'run1' },
  };
  const run = play([reset(), synced('idle')], stored);
  expect(await textOf(run)).toEqual(['one two']);
  expect(await run.finished()).toMatchObject({ runId: 'run1', text: 'one two' });
});

it('says so when nothing is left of the message', async () => {
  await expect(play([reset(), synced('idle')]).finished()).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('fills a gap from the history', async () => {
  const run = play([delivered, started, delta('one', 0), delta(' three', 7), completed('one two three'), finished], {
    items: [asked, item('one two thr')],
  });
  expect(await textOf(run)).toEqual(['one', ' two thr', 'ee']);
});

it('what a reset does not have any more is not part of the answer', async () => {
  const again = item('One', { itemId: 'again' });
  const run = play([
    delivered,
    started,
    delta('Eins', 0),
    reset(asked, again),
    synced('running'),
    { type: 'item.completed', item: { ...again, status: 'completed' } },
    finished,
  ]);
  const shown: string[] = [];
  for await (const event of run.events)
    if (event.type === 'item.discarded') shown.push(`${event.itemId} ${event.reason}`);
  expect(shown).toEqual(['answer restarted']);
  expect(await run.finished()).toMatchObject({ text: 'One' });
  await expect(textOf(run)).rejects.toMatchObject({ code: 'ANSWER_REPLACED' });
});

it('a failed run throws from the text and from finished(), not from the events', async () => {
  const error = { code: 'PROVIDER_AUTH', message: 'no', retryable: false, requestId: 'r' };
  const run = play([delivered, started, delta('half', 0), completed('half'), { ...finished, status: 'failed', error }]);
  const types: string[] = [];
  for await (const event of run.events) types.push(event.type);
  expect(types.at(-1)).toBe('run.finished');
  await expect(textOf(run)).rejects.toMatchObject({ code: 'PROVIDER_AUTH' });
  await expect(run.finished()).rejects.toMatchObject({ code: 'PROVIDER_AUTH', message: 'no' });
});

it('a message that was taken back ends as cancelled', async () => {
  const run = play([{ type: 'input.cancelled', inputId: 'in1' }]);
  expect(await textOf(run)).toEqual([]);
  expect(await run.finished()).toMatchObject({ status: 'cancelled', text: '' });
});

it('has all events of the run: of its calls, their approvals, the agent, and the state', async () => {
  const call = (callId: string, runId: string) => ({
    callId,
    runId,
    name: 'act',
    arguments: {},
    target: 'client' as const,
  });
  const asking = (callId: string, runId: string) =>
    ({ type: 'approval.requested', approval: call(callId, runId) }) as Body<SessionEvent>;
  const ofCall = (callId: string, runId: string): Body<SessionEvent>[] => [
    { type: 'approval.resolved', callId, decision: 'allow', by: 'user' },
    { type: 'tool.requested', ...call(callId, runId), deadline: 0 },
    { type: 'tool.progress', callId, message: 'half' },
    { type: 'tool.finished', callId, outcome: 'succeeded' },
  ];
  const state = (runId?: string): Body<SessionEvent> => ({
    type: 'session.state',
    state: 'waiting',
    queued: 0,
    ...(runId === undefined ? {} : { runId }),
  });
  const before: Body<SessionEvent>[] = [
    { type: 'agent.switched', from: 'x', to: 'y', reason: '' },
    state(),
    state('run0'),
    asking('c0', 'run0'),
    ...ofCall('c0', 'run0'),
  ];
  const own: Body<SessionEvent>[] = [
    asking('c1', 'run1'),
    state('run1'),
    ...ofCall('c1', 'run1'),
    { type: 'agent.switched', from: 'coder', to: 'ask', reason: '' },
  ];
  const seen: string[] = [];
  for await (const { type } of play([...before, delivered, ...own, finished, state()]).events) seen.push(type);
  expect(seen).toEqual(['input.delivered', ...own.map(({ type }) => type), 'run.finished']);
});
