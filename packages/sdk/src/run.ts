import { CodelabError, fromWireError, noUsage } from '@codelab/protocol';
import type { Connection } from './connection.ts';
import type { RunEnd, TrackedSessionEvent, Usage } from './types.ts';

/** What came of a run. */
export interface RunResult {
  runId: string;
  /** Never `failed`: then `finished()` throws. */
  status: Exclude<RunEnd, 'failed'>;
  /** All the agent said, reasoning excluded. */
  text: string;
  usage: Usage;
}

/** The answer to one message. Watching it is optional: it goes on without you, and stops only by `cancel()`. */
export interface Run {
  /** The message's id: sending again with it is harmless, and finds the same answer. */
  readonly inputId: string;
  /** The answer, piece by piece, from its beginning. Throws `CodelabError` if the run fails. */
  readonly textStream: AsyncIterable<string>;
  /** All events of the run, `run.finished` last, or `input.cancelled` if it never began. Throws `CodelabError` if they can't be read. */
  readonly events: AsyncIterable<TrackedSessionEvent>;
  /** Resolves when the run is over. Throws `CodelabError` if it failed. */
  finished(): Promise<RunResult>;
  /** Stops the run, at the provider too. Resolves when that is on its way; a run that is over already is left as it is. */
  cancel(): Promise<void>;
}

export interface RunOptions {
  connection: Connection;
  sessionId: string;
  inputId: string;
  /** Resolves to a cursor from before the accepted message, and the run that it has become, if it has. */
  accepted: Promise<{ eventId: string; runId: string | undefined }>;
}

export function createRun({ connection, sessionId, inputId, accepted }: RunOptions): Run {
  // Whoever watches the run gets the failure; nobody may be watching.
  let isAccepted = false;
  accepted.then(
    (sent) => {
      isAccepted = true;
      runId ??= sent.runId;
    },
    () => {},
  );
  let result: RunResult | CodelabError | undefined;
  let runId: string | undefined;

  /** The run's events, in any number of independent readings. */
  async function* read(): AsyncGenerator<TrackedSessionEvent, void, undefined> {
    const stop = new AbortController();
    let refusal: unknown;
    // The events are asked for together with the answer to the message, and come where it is accepted.
    const cursor = isAccepted ? { lastEventId: (await accepted).eventId } : { inputId };
    accepted.catch((error: unknown) => {
      refusal = error;
      stop.abort();
    });
    const items = new Set<string>();
    const text = createTextCollector();
    let wasReset = false;
    try {
      for await (const event of connection.watch({ sessionId, ...cursor, signal: stop.signal })) {
        // Where the message was refused, what is seen here is the answer to another one of its name.
        if (!isAccepted) await accepted;
        if (event.type === 'input.cancelled' && event.inputId === inputId) {
          result ??= { runId: '', status: 'cancelled', text: '', usage: noUsage };
          yield event;
          return;
        }
        if (event.type === 'input.delivered' && event.inputId === inputId) runId = event.runId;
        if (event.type === 'stream.reset') {
          wasReset = true;
          runId ??= event.items.find((item) => item.inputId === inputId)?.runId;
          for (const item of event.items) if (item.runId === runId) items.add(item.itemId);
          text.push(event, runId);
          yield event;
          continue;
        }
        if (event.type === 'stream.synced') {
          yield event;
          if (wasReset && runId === undefined && event.state === 'idle')
            throw new CodelabError('NOT_FOUND', 'The answer to this message is older than what the service keeps.');
          // The run's end may lie in what is gone: then it is not the one that is at work now.
          const end = wasReset && event.runId !== runId ? await endOf(connection, sessionId, runId) : undefined;
          if (end === undefined) continue;
          result ??= toResult(end, text.whole());
          yield { ...end, id: event.id, seq: event.seq, ts: event.ts };
          return;
        }
        if (runId === undefined || !belongs(event, runId, inputId, items)) continue;
        text.push(event, runId);
        if (event.type === 'run.finished') result ??= toResult(event, text.whole());
        yield event;
        if (event.type === 'run.finished') return;
      }
      if (refusal !== undefined) throw refusal;
      throw new CodelabError('OVERLOADED', 'The client was closed before the run was over. The run goes on.');
    } finally {
      stop.abort();
    }
  }

  async function* readText(): AsyncGenerator<string, void, undefined> {
    const text = createTextCollector();
    for await (const event of read()) {
      const fresh = text.push(event, runId);
      if (fresh !== '') yield fresh;
      if (event.type === 'run.finished' && result instanceof CodelabError) throw result;
    }
  }

  return {
    inputId,
    events: { [Symbol.asyncIterator]: read },
    textStream: { [Symbol.asyncIterator]: readText },
    async finished() {
      if (result === undefined) for await (const _ of read());
      if (result instanceof CodelabError) throw result;
      return result as unknown as RunResult;
    },
    async cancel() {
      await accepted;
      try {
        await connection.call((trpc, options) => trpc.input.cancel.mutate({ sessionId, inputId }, options));
      } catch (error) {
        if (!(error instanceof CodelabError) || error.code !== 'INPUT_ALREADY_DELIVERED') throw error;
        const delivered = error.details as { runId: string };
        await connection.call((trpc, options) =>
          trpc.run.cancel.mutate({ sessionId, runId: delivered.runId }, options),
        );
      }
    },
  };
}

function belongs(event: TrackedSessionEvent, runId: string, inputId: string, items: Set<string>): boolean {
  switch (event.type) {
    case 'item.started':
      if (event.item.runId === runId) items.add(event.item.itemId);
      return event.item.runId === runId;
    case 'item.delta':
      return items.has(event.itemId);
    case 'item.completed':
      return event.item.runId === runId;
    case 'input.delivered':
      return event.inputId === inputId;
    case 'run.started':
    case 'run.finished':
    case 'step.started':
    case 'step.finished':
      return event.runId === runId;
    default:
      return false;
  }
}

type RunFinished = Extract<TrackedSessionEvent, { type: 'run.finished' }>;

/** How the run ended, if it has. */
async function endOf(
  connection: Connection,
  sessionId: string,
  runId: string | undefined,
): Promise<Omit<RunFinished, 'id' | 'seq' | 'ts'> | undefined> {
  if (runId === undefined) return undefined;
  const run = await connection.call((trpc, options) => trpc.run.get.query({ sessionId, runId }, options));
  if (run.status === 'running') return undefined;
  return { type: 'run.finished', runId, status: run.status, usage: run.usage, error: run.error };
}

function toResult(event: Omit<RunFinished, 'id' | 'seq' | 'ts'>, text: string): RunResult | CodelabError {
  const { runId, status, usage, error } = event;
  if (status === 'failed') return fromWireError(error) ?? new CodelabError('INTERNAL');
  return { runId, status, text, usage };
}

/** Puts the assistant's messages together: `push` returns what is new. Duplicates and gaps are seen by the offsets. */
function createTextCollector() {
  const lengths = new Map<string, number>();
  const open = new Set<string>();
  let whole = '';
  const add = (itemId: string, text: string, offset: number): string => {
    const have = lengths.get(itemId) ?? 0;
    const fresh = text.slice(Math.max(0, have - offset));
    lengths.set(itemId, Math.max(have, offset + text.length));
    whole += fresh;
    return fresh;
  };
  return {
    whole: () => whole,
    push(event: TrackedSessionEvent, runId: string | undefined): string {
      switch (event.type) {
        case 'item.started':
          if (event.item.kind === 'assistant_message') open.add(event.item.itemId);
          return '';
        case 'item.delta':
          return open.has(event.itemId) ? add(event.itemId, event.text, event.offset) : '';
        case 'item.completed':
          return event.item.kind === 'assistant_message' ? add(event.item.itemId, event.item.text, 0) : '';
        case 'stream.reset':
          return event.items
            .filter((item) => item.kind === 'assistant_message' && item.runId === runId)
            .map((item) => {
              open.add(item.itemId);
              return add(item.itemId, item.text, 0);
            })
            .join('');
        default:
          return '';
      }
    },
  };
}
