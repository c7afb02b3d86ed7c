import type { NewSessionEvent, SessionEvent } from './event.ts';
import type { Input } from './input.ts';
import type { Item, ItemPage } from './item.ts';
import type { Run } from './run.ts';

/** The most pages of history that are read for one run. */
const MAX_PAGES = 200;

type Page = Pick<ItemPage, 'items'> & { nextCursor?: string | undefined };

/** Reads what the events alone do not tell. */
export interface History {
  /** The newest items, or those older than the page whose `nextCursor` this is. Oldest first. */
  items(cursor?: string): Promise<Page>;
  run(runId: string): Promise<Pick<Run, 'status' | 'usage' | 'costUsd' | 'error'>>;
  input(inputId: string): Promise<Pick<Input, 'status' | 'runId'>>;
}

/** Mends the events of one subscription, one after the other. */
export interface EventMender<E extends SessionEvent> {
  /** Says that this input is about to be sent: its run is of interest, even where none of its events is seen. */
  expect(inputId: string): void;
  /** Says that it was not sent. */
  forget(inputId: string): void;
  /**
   * Says that the input was delivered to this run before its events were followed. Returns all of the run if it is over; else what is still
   * to come of it comes by `push`. Calls must overlap neither with each other nor with those of `push`.
   */
  catchUp(inputId: string, runId: string): Promise<NewSessionEvent[]>;
  /** Returns what takes the place of `event`. Calls must not overlap. */
  push(event: E): E[] | Promise<E[]>;
}

/** One run as the reader has been shown it. */
interface ShownRun {
  runId: string;
  items: Map<string, { length: number; isDone: boolean }>;
}

/**
 * Makes a session's events whole for a reader that shows answers: over gaps, resets and restarts the deltas of an item are contiguous,
 * each item that was begun ends in `item.completed` or `item.discarded`, and each run that was begun in `run.finished`. What is missing
 * comes from `history`, with the `seq` (and `id`) of the event that it was missed at. PROTOCOL.md §5.
 */
export function createEventMender<E extends SessionEvent>(
  history: History,
  { runsOf }: { runsOf: 'session' | 'expected inputs' },
): EventMender<E> {
  const runs = new Map<string, ShownRun>();
  /** Inputs whose run is not known yet. */
  const expected = new Set<string>();
  /** There was a reset since the reader last caught up. */
  let wasReset = false;

  const runOf = (runId: string): ShownRun => {
    let run = runs.get(runId);
    if (run === undefined) {
      run = { runId, items: new Map() };
      runs.set(runId, run);
    }
    return run;
  };
  /** The run, where it is of interest. */
  const shownRun = (runId: string): ShownRun | undefined =>
    runId === '' ? undefined : runsOf === 'session' ? runOf(runId) : runs.get(runId);
  const ownerOf = (itemId: string): ShownRun | undefined => {
    for (const run of runs.values()) if (run.items.has(itemId)) return run;
    return undefined;
  };

  const onDelta = (event: Extract<SessionEvent, { type: 'item.delta' }>, at: E): E[] | Promise<E[]> => {
    const shown = ownerOf(event.itemId)?.items.get(event.itemId);
    // It began before this reader came, or is over.
    if (shown === undefined || shown.isDone) return [];
    const { offset, text } = event;
    if (offset > shown.length) return fillGap(event.itemId, at);
    const end = offset + text.length;
    if (end <= shown.length) return [];
    const known = shown.length - offset;
    shown.length = end;
    return [known === 0 ? at : make(at, { ...event, text: text.slice(known), offset: offset + known })];
  };

  /** The text of an item up to where it is now; where the history does not have it, `item.completed` brings it. */
  const fillGap = async (itemId: string, at: E): Promise<E[]> => {
    const item = (await history.items()).items.find((each) => each.itemId === itemId);
    const run = ownerOf(itemId);
    return item === undefined || run === undefined ? [] : showItem(run, item).map((event) => make(at, event));
  };

  /** Brings what was shown of an item up to `item`. */
  const showItem = (run: ShownRun, item: Item): NewSessionEvent[] => {
    const { itemId, text } = item;
    const made: NewSessionEvent[] = [];
    let shown = run.items.get(itemId);
    if (shown === undefined) {
      shown = { length: 0, isDone: false };
      run.items.set(itemId, shown);
      made.push({ type: 'item.started', item: { ...item, text: '', status: 'in_progress' } });
    }
    if (shown.isDone) return made;
    if (item.status !== 'in_progress') {
      shown.isDone = true;
      made.push({ type: 'item.completed', item });
    } else if (text.length > shown.length) {
      made.push({ type: 'item.delta', itemId, text: text.slice(shown.length), offset: shown.length });
      shown.length = text.length;
    }
    return made;
  };

  /** Brings what was shown of a run up to `items`, which are all that it has. */
  const showRun = (run: ShownRun, items: Item[]): NewSessionEvent[] => {
    const there = new Set(items.map(({ itemId }) => itemId));
    const made: NewSessionEvent[] = [];
    for (const [itemId, { isDone }] of run.items) {
      if (isDone || there.has(itemId)) continue;
      run.items.delete(itemId);
      made.push({ type: 'item.discarded', itemId, reason: 'restarted' });
    }
    return [...made, ...items.flatMap((item) => showItem(run, item))];
  };

  /** All items of a run, looked for from `page` backwards. Undefined where it is too far back. */
  const itemsOf = async (runId: string, newest: Page): Promise<Item[] | undefined> => {
    let page: Page = newest;
    let found: Item[] = [];
    for (let pages = 1; pages <= MAX_PAGES; pages++) {
      found = [...page.items.filter((item) => item.runId === runId), ...found];
      // A run's items stand together.
      const isWhole = found.length > 0 && page.items[0]?.runId !== runId;
      if (isWhole || page.nextCursor === undefined) return found;
      page = await history.items(page.nextCursor);
    }
    return undefined;
  };

  const bringUp = async (run: ShownRun, page: Page): Promise<NewSessionEvent[]> => {
    const items = await itemsOf(run.runId, page);
    return items === undefined ? [] : showRun(run, items);
  };

  const onReset = async (page: Page, at: E): Promise<E[]> => {
    wasReset = true;
    const made: NewSessionEvent[] = [];
    for (const { inputId, runId } of page.items) {
      if (inputId === undefined || !expected.delete(inputId)) continue;
      runOf(runId);
      made.push({ type: 'input.delivered', inputId, runId });
    }
    for (const run of runs.values()) made.push(...(await bringUp(run, page)));
    return [at, ...made.map((event) => make(at, event))];
  };

  /** After a reset: the ends that lie in what was lost. */
  const onSynced = async (activeRun: string | undefined, at: E): Promise<E[]> => {
    wasReset = false;
    const made: NewSessionEvent[] = [];
    for (const inputId of [...expected]) {
      const { status, runId } = await history.input(inputId);
      if (status === 'queued') continue;
      expected.delete(inputId);
      if (status === 'cancelled') made.push({ type: 'input.cancelled', inputId });
      else if (runId !== undefined) {
        made.push({ type: 'input.delivered', inputId, runId });
        made.push(...(await bringUp(runOf(runId), await history.items())));
      }
    }
    for (const run of [...runs.values()]) if (run.runId !== activeRun) made.push(...(await endOf(run)));
    return [at, ...made.map((event) => make(at, event))];
  };

  /** Returns the end of a run, with all that it said, if it is over. */
  const endOf = async (run: ShownRun): Promise<NewSessionEvent[]> => {
    const { runId } = run;
    const { status, usage, costUsd, error } = await history.run(runId);
    if (status === 'running') return [];
    const said = await bringUp(run, await history.items());
    runs.delete(runId);
    return [
      ...said,
      {
        type: 'run.finished',
        runId,
        status,
        usage,
        ...(costUsd === undefined ? {} : { costUsd }),
        ...(error === undefined ? {} : { error }),
      },
    ];
  };

  /** Before a run's end: what it said must have been shown to its end. */
  const onFinished = async (run: ShownRun, at: E): Promise<E[]> => {
    const made = await bringUp(run, await history.items());
    runs.delete(run.runId);
    return [...made.map((event) => make(at, event)), at];
  };

  return {
    expect: (inputId) => void expected.add(inputId),
    forget: (inputId) => void expected.delete(inputId),
    async catchUp(inputId, runId) {
      expected.delete(inputId);
      return runs.has(runId) ? [] : endOf(runOf(runId));
    },
    push(at) {
      const event: SessionEvent = at;
      switch (event.type) {
        case 'item.delta':
          return onDelta(event, at);
        case 'item.started': {
          const { runId, itemId } = event.item;
          const run = shownRun(runId);
          if (run?.items.has(itemId)) return [];
          run?.items.set(itemId, { length: 0, isDone: false });
          return [at];
        }
        case 'item.completed': {
          const { runId, itemId, text } = event.item;
          const run = shownRun(runId);
          if (run?.items.get(itemId)?.isDone === true) return [];
          run?.items.set(itemId, { length: text.length, isDone: true });
          return [at];
        }
        case 'item.discarded':
          return ownerOf(event.itemId)?.items.delete(event.itemId) === true ? [at] : [];
        case 'input.delivered':
          if (expected.delete(event.inputId)) runOf(event.runId);
          else shownRun(event.runId);
          return [at];
        case 'input.cancelled':
          expected.delete(event.inputId);
          return [at];
        case 'run.started':
          shownRun(event.runId);
          return [at];
        case 'run.finished': {
          const run = runs.get(event.runId);
          if (run !== undefined && [...run.items.values()].some(({ isDone }) => !isDone)) return onFinished(run, at);
          runs.delete(event.runId);
          return [at];
        }
        case 'stream.reset':
          return onReset(event, at);
        case 'stream.synced':
          if (event.runId !== undefined) shownRun(event.runId);
          return wasReset ? onSynced(event.runId, at) : [at];
        default:
          return [at];
      }
    },
  };
}

/** Yields `events`, those of the run of `inputId` mended. */
export async function* mendEvents<E extends SessionEvent>(
  events: AsyncIterable<E>,
  history: History,
  inputId: string,
): AsyncGenerator<E, void, undefined> {
  const mender = createEventMender<E>(history, { runsOf: 'expected inputs' });
  mender.expect(inputId);
  for await (const event of events) {
    const mended = mender.push(event);
    yield* mended instanceof Promise ? await mended : mended;
  }
}

/** An event that was missed, as if it had come with `at`. */
function make<E extends SessionEvent>(at: E, event: NewSessionEvent): E {
  const { seq, ts } = at;
  const id = (at as { id?: string }).id;
  return { ...event, seq, ts, ...(id === undefined ? {} : { id }) } as unknown as E;
}
