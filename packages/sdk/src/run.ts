import {
  CodelabError,
  createAnswer,
  createAnswerStream,
  fromWireError,
  type History,
  mendEvents,
  noUsage,
} from '@codelab/protocol';
import type { Connection } from './connection.ts';
import type { RunEnd, TrackedSessionEvent, Usage } from './types.ts';

/** The result of a run. */
export interface RunResult {
  runId: string;
  /** Never `failed`: then `finished()` throws. */
  status: Exclude<RunEnd, 'failed'>;
  /** The agent's text, without reasoning. */
  text: string;
  usage: Usage;
}

/** The answer to one message. Reading it is optional: the run goes on without a reader, and stops only by `cancel()`. */
export interface Run {
  /** The message's id: sending again with it is harmless, and returns the same answer. */
  readonly inputId: string;
  /**
   * Yields the answer, piece by piece, from its beginning. Throws `CodelabError` if the run fails, and `ANSWER_REPLACED` where the model was
   * asked again and its new text differs from what you have read: `finished()` and the history have the right one.
   */
  readonly textStream: AsyncIterable<string>;
  /** Yields all events of the run, its calls, approvals and states among them, `run.finished` last, or `input.cancelled` if it never began. Throws `CodelabError` if they can't be read. */
  readonly events: AsyncIterable<TrackedSessionEvent>;
  /** Resolves when the run is over. Throws `CodelabError` if it failed. */
  finished(): Promise<RunResult>;
  /** Cancels the run, at the provider too. Resolves once that is accepted; a finished run stays as it is. */
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
  // Readers get the failure; without one it must not be an unhandled rejection.
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
  const history: History = {
    items: (cursor) =>
      connection.call((trpc, options) => trpc.session.items.query({ sessionId, cursor, limit: 200 }, options)),
    run: (id) => connection.call((trpc, options) => trpc.run.get.query({ sessionId, runId: id }, options)),
    input: (id) => connection.call((trpc, options) => trpc.input.get.query({ sessionId, inputId: id }, options)),
  };

  /** Reads the run's events, independently of other readers. */
  async function* read(): AsyncGenerator<TrackedSessionEvent, void, undefined> {
    const stop = new AbortController();
    let refusal: unknown;
    // The events are asked for together with the answer to the message, and come where it is accepted.
    const cursor = isAccepted ? { lastEventId: (await accepted).eventId } : { inputId };
    accepted.catch((error: unknown) => {
      refusal = error;
      stop.abort();
    });
    const answer = createAnswer(inputId);
    try {
      const events = connection.watch({ sessionId, ...cursor, signal: stop.signal });
      for await (const event of mendEvents(events, history, inputId)) {
        // Where the message was refused, these events are of another message with the same id.
        if (!isAccepted) await accepted;
        if (event.type === 'stream.reset' || event.type === 'stream.synced') yield event;
        answer.runId ??= runId;
        if (!answer.push(event)) continue;
        runId = answer.runId;
        if (event.type === 'input.cancelled') result ??= { runId: '', status: 'cancelled', text: '', usage: noUsage };
        if (event.type === 'run.finished') result ??= toResult(event, answer.text());
        yield event;
        if (event.type === 'run.finished' || event.type === 'input.cancelled') return;
      }
      if (refusal !== undefined) throw refusal;
      throw new CodelabError('OVERLOADED', 'The client was closed before the run was over. The run goes on.');
    } finally {
      stop.abort();
    }
  }

  async function* readText(): AsyncGenerator<string, void, undefined> {
    const stream = createAnswerStream();
    for await (const event of read()) {
      const fresh = stream.push(event);
      if (fresh !== '') yield fresh;
      const isOver = event.type === 'run.finished';
      if (isOver && result instanceof CodelabError) throw result;
      if (stream.isReplaced || (isOver && !stream.isWhole()))
        throw new CodelabError('ANSWER_REPLACED', undefined, { details: { runId } });
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

type RunFinished = Extract<TrackedSessionEvent, { type: 'run.finished' }>;

function toResult(event: RunFinished, text: string): RunResult | CodelabError {
  const { runId, status, usage, error } = event;
  if (status === 'failed') return fromWireError(error) ?? new CodelabError('INTERNAL');
  return { runId, status, text, usage };
}
