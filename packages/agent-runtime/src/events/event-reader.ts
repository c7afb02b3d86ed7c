import {
  type Item,
  type ItemPage,
  type NewSessionEvent,
  type SessionEvent,
  type SessionState,
  type TrackedEvent,
  wholeEnd,
} from '@codelab/protocol';
import { type MessageSink, toTail } from '@codelab/service-kit';
import type { LiveItem, LiveStep } from './live-step.ts';
import { formatPosition, parsePosition, type ShownItem } from './position.ts';

/** The size limit of a delta for a reader that catches up. UTF-16 code units. */
const MERGED_LENGTH = 64 * 1024;
/** Events in a row after which a reader lets others work. */
const TURN = 64;

/** The events of a session as a reader finds them. */
export interface EventSource {
  /** The number of the newest stored event. */
  readonly lastSeq: number;
  /** The step that is being said. */
  readonly live: LiveStep | undefined;
  /** True once every reader ends when it has read what there is. */
  readonly isClosed: boolean;
  /** The event that every reader gets as its last one. */
  readonly last: NewSessionEvent | undefined;
  /** Reads the stored events behind `after`. Returns undefined where one is gone. */
  eventsAfter(after: number): Promise<SessionEvent[] | undefined>;
  hasItem(itemId: string): Promise<boolean>;
  /** Reads the newest page of the session's items, live ones included. */
  snapshot(): Promise<ItemPage>;
  state(): SessionState;
  /** Returns the calls without a result. */
  openCalls(): Item[];
  /** Returns the open calls and approvals, as the events that announced them. */
  openRequests(): NewSessionEvent[];
}

/** One reader of a session's events, with its position. */
export interface EventReader {
  /** Wakes it: there is more to read, or a reason to end. */
  notify(): void;
  /** Shows the newest progress of a call, once. */
  showProgress(event: Extract<NewSessionEvent, { type: 'tool.progress' }>): void;
  /** Yields the events from a position on. One of `read` and `push` may be called, once. */
  read(lastEventId: string | null | undefined, from: 'now' | 'start'): AsyncGenerator<TrackedEvent, void, undefined>;
  /** Sends them as they come, until the end. What a model is saying is sent within the call that wakes the reader. */
  push(sink: MessageSink, lastEventId: string | null | undefined, from: 'now' | 'start'): Promise<void>;
}

export interface EventReaderOptions {
  /** Names the log. */
  log: string;
  source: EventSource;
  signal: AbortSignal | undefined;
  draining: AbortSignal;
}

export function createEventReader(options: EventReaderOptions): EventReader {
  return new Reader(options);
}

class Reader implements EventReader {
  readonly #log: string;
  readonly #source: EventSource;
  readonly #signal: AbortSignal | undefined;
  readonly #draining: AbortSignal;
  /** The newest progress of each call, not shown yet. */
  readonly #progress = new Map<string, NewSessionEvent>();
  #wake: () => void = () => {};
  /** True while it waits for a wake, and has shown all that was there. */
  #isParked = false;
  #sink: MessageSink | undefined;
  /** The number of the stored event that was shown last. */
  #seq = 0;
  /** The items whose beginning has been shown, and not their end. */
  #shown = new Map<string, ShownItem>();
  /** The live step that the unstored ones belong to. */
  #shownStep: string | undefined;
  #reset: 'restarted' | 'cursor_expired' | undefined;
  /** True until what is open has been shown to a reader that begins now. */
  #isNew = false;
  #isSynced = false;

  constructor({ log, source, signal, draining }: EventReaderOptions) {
    this.#log = log;
    this.#source = source;
    this.#signal = signal;
    this.#draining = draining;
  }

  /** Is handed to signals as it is. */
  readonly notify = (): void => {
    if (this.#sink === undefined || !this.#pushLive(this.#sink)) this.#wake();
  };

  async push(sink: MessageSink, lastEventId: string | null | undefined, from: 'now' | 'start'): Promise<void> {
    this.#sink = sink;
    for await (const { id, event } of this.read(lastEventId, from)) {
      if (sink.isFull) await sink.drained();
      sink.send(toTail(id, event));
    }
  }

  /** Sends what the live step has more, where that is all there is to read. Returns false where it is not, or the sink is full. */
  #pushLive(sink: MessageSink): boolean {
    const { live, lastSeq, isClosed } = this.#source;
    if (!this.#isParked || live === undefined || this.#seq < lastSeq || isClosed || this.#signal?.aborted) return false;
    if (this.#progress.size > 0 || (this.#shownStep !== undefined && this.#shownStep !== live.id)) return false;
    if (sink.isFull) return false;
    for (const { id, event } of this.#showLive(live)) sink.send(toTail(id, event));
    return true;
  }

  showProgress(event: Extract<NewSessionEvent, { type: 'tool.progress' }>): void {
    this.#progress.set(event.callId, event);
  }

  async *read(lastEventId: string | null | undefined, from: 'now' | 'start'): AsyncGenerator<TrackedEvent> {
    yield* this.#begin(lastEventId, from);
    let inARow = 0;
    while (!this.#signal?.aborted) {
      if (++inARow % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (this.#reset !== undefined) yield* this.#beginAnew(this.#reset);
      else if (this.#seq < this.#source.lastSeq) yield* this.#showStored();
      else if (this.#shownStep !== undefined && this.#shownStep !== this.#source.live?.id)
        yield* this.#discardOrphans();
      else if (this.#source.live !== undefined && hasMore(this.#source.live, this.#shown))
        yield* this.#showLive(this.#source.live);
      else if (this.#isNew) yield* this.#showOpen();
      else if (this.#progress.size > 0) yield this.#takeProgress();
      else if (!this.#isSynced) {
        this.#isSynced = true;
        yield this.#tracked({ type: 'stream.synced', ...this.#source.state() });
      } else if (this.#isOver) {
        const { last } = this.#source;
        if (last !== undefined) yield this.#tracked(last);
        return;
      } else {
        inARow = 0;
        this.#isParked = true;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#isParked = false;
      }
    }
  }

  get #isOver(): boolean {
    return this.#source.isClosed || (this.#draining.aborted && this.#source.state().state === 'idle');
  }

  /** Takes the position that a reader comes with. */
  async *#begin(lastEventId: string | null | undefined, from: 'now' | 'start'): AsyncGenerator<TrackedEvent> {
    const { lastSeq, live } = this.#source;
    this.#seq = lastSeq;
    if (lastEventId == null) {
      if (from === 'start') this.#seq = 0;
      else this.#isNew = true;
      return;
    }
    const position = parsePosition(lastEventId);
    if (position === undefined) this.#reset = 'cursor_expired';
    else if (position.log !== this.#log || position.seq > lastSeq) this.#reset = 'restarted';
    else {
      this.#seq = position.seq;
      if (position.step === undefined) return;
      const { id, shown } = position.step;
      this.#shown = shown;
      this.#shownStep = id;
      const [first] = shown.keys();
      if (live?.id !== id && first !== undefined && !(await this.#source.hasItem(first))) yield* this.#discardOrphans();
    }
  }

  /** Gives the reader a snapshot in place of events that are gone. */
  async *#beginAnew(reason: 'restarted' | 'cursor_expired'): AsyncGenerator<TrackedEvent> {
    this.#seq = this.#source.lastSeq;
    this.#isSynced = false;
    this.#isNew = false;
    this.#reset = undefined;
    const requests = this.#source.openRequests();
    const step = this.#source.live;
    const page = await this.#source.snapshot();
    this.#shown = new Map(page.items.map(({ itemId, text }) => [itemId, { length: text.length }]));
    this.#shownStep = step?.id;
    yield this.#tracked({ type: 'stream.reset', reason, ...page });
    for (const event of requests) yield this.#tracked(event);
  }

  async *#showStored(): AsyncGenerator<TrackedEvent> {
    const events = await this.#source.eventsAfter(this.#seq);
    if (events === undefined) this.#reset = 'cursor_expired';
    for (const event of events ?? []) {
      yield* this.#expand(event);
      if (this.#signal?.aborted) return;
    }
  }

  /** Expands a stored event to those that this reader needs. */
  *#expand(event: SessionEvent): Generator<TrackedEvent> {
    this.#seq = event.seq - 1;
    switch (event.type) {
      case 'item.started':
        // A call whose arguments are whole.
        yield* this.#beginItem(event.item);
        this.#shown.delete(event.item.itemId);
        this.#seq = event.seq;
        return;
      case 'item.completed':
        if (event.item.kind !== 'tool_call') yield* this.#beginItem(event.item);
        this.#shown.delete(event.item.itemId);
        break;
      case 'item.discarded':
        if (!this.#shown.delete(event.itemId)) {
          this.#seq = event.seq;
          return;
        }
    }
    this.#seq = event.seq;
    yield { id: this.#position(), event };
  }

  /** Shows the part of an item that the reader has not seen, before an event that continues it. */
  *#beginItem(item: Item): Generator<TrackedEvent> {
    const { itemId, text, kind, toolCall } = item;
    const read = this.#shown.get(itemId);
    if (read === undefined)
      yield this.#tracked({
        type: 'item.started',
        item: {
          ...item,
          text: '',
          status: 'in_progress',
          ...(toolCall === undefined ? {} : { toolCall: { callId: toolCall.callId, name: toolCall.name } }),
        },
      });
    if (!isStreamed(kind)) return;
    for (let offset = Math.min(read?.length ?? 0, text.length); offset < text.length; ) {
      const part = text.slice(offset, wholeEnd(text, offset + MERGED_LENGTH));
      yield this.#tracked({ type: 'item.delta', itemId, text: part, offset });
      offset += part.length;
    }
  }

  *#showLive(step: LiveStep): Generator<TrackedEvent> {
    this.#shownStep = step.id;
    for (const item of step.items) {
      const { itemId } = item.item;
      let read = this.#shown.get(itemId) as LiveRead | undefined;
      if (read === undefined) {
        read = { length: 0, piece: 0 };
        this.#shown.set(itemId, read);
        yield this.#tracked({ type: 'item.started', item: item.item });
      }
      while (read.length < item.length) {
        const offset = read.length;
        const text = take(item, read);
        yield this.#tracked({ type: 'item.delta', itemId, text, offset });
      }
    }
  }

  /** Takes back the shown items of a step that was given up. */
  *#discardOrphans(): Generator<TrackedEvent> {
    for (const itemId of [...this.#shown.keys()]) {
      if (!itemId.includes(`_${this.#shownStep}.`)) continue;
      this.#shown.delete(itemId);
      yield this.#tracked({ type: 'item.discarded', itemId, reason: 'restarted' });
    }
    this.#shownStep = undefined;
  }

  /** Shows what is open to a reader that begins now. */
  *#showOpen(): Generator<TrackedEvent> {
    this.#isNew = false;
    const requests = this.#source.openRequests();
    for (const item of this.#source.openCalls()) yield* this.#beginItem(item);
    for (const event of requests) yield this.#tracked(event);
  }

  #takeProgress(): TrackedEvent {
    const [[callId, event]] = this.#progress as unknown as [[string, NewSessionEvent]];
    this.#progress.delete(callId);
    return this.#tracked(event);
  }

  #tracked(event: NewSessionEvent): TrackedEvent {
    return { id: this.#position(), event: { ...event, seq: this.#seq, ts: Date.now() } as SessionEvent };
  }

  #position(): string {
    const { live } = this.#source;
    const step = live?.id === this.#shownStep ? live : undefined;
    return formatPosition({ log: this.#log, seq: this.#seq }, step, this.#shown);
  }
}

interface LiveRead extends ShownItem {
  /** The piece that comes next. */
  piece?: number;
}

/** True for an item that is streamed in pieces; the others come whole. */
function isStreamed(kind: Item['kind']): boolean {
  return kind === 'assistant_message' || kind === 'reasoning' || kind === 'tool_call';
}

function hasMore(step: LiveStep, shown: ReadonlyMap<string, ShownItem>): boolean {
  return step.items.some(({ item, length }) => (shown.get(item.itemId)?.length ?? -1) < length);
}

/** Returns the next pieces as one text, and moves behind them. */
function take(item: LiveItem, read: LiveRead): string {
  const { pieces } = item;
  let text = '';
  if (read.piece === undefined) {
    // It was resumed by an offset, which may lie within a piece.
    read.piece = 0;
    let left = read.length;
    for (let piece = pieces[0]; piece !== undefined && left > 0; piece = pieces[read.piece]) {
      if (left < piece.length) text = piece.slice(left);
      left -= piece.length;
      read.piece++;
    }
  }
  while (read.piece < pieces.length && text.length < MERGED_LENGTH) text += pieces[read.piece++];
  read.length += text.length;
  return text;
}
