import type { ServerResponse } from 'node:http';

const COMMENT_MS = 15_000;
const STALL_MS = 30_000;
const HEAD_AFTER_MS = 10_000;

/** One server-sent event. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export interface SseMessage {
  event?: string;
  id?: string;
  /** A string is sent as it is (it has no line breaks), anything else as JSON. */
  data: unknown;
}

/** Aborted when the client has gone. */
export function clientGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => controller.abort());
  return controller.signal;
}

export interface EventStreamOptions {
  headers?: Record<string, string>;
  /** How long the head waits for the first message, so that a failure before it can have a status. Milliseconds, default 10,000. */
  headAfterMs?: number;
  /** What is sent last when the messages fail after the head. Without it the stream just ends. */
  onFailure?: (thrown: unknown) => SseMessage | string;
}

/**
 * Writes `messages` (or whole events, as they are to be sent) as an event stream and ends the response: waits for a slow client, comments every 15 s so that nobody in
 * between takes the silence for death, and gives up on a client that takes nothing for 30 s. Throws, with nothing written, what the
 * messages throw before the head is sent.
 */
export async function sendEventStream(
  response: ServerResponse,
  messages: AsyncIterable<SseMessage | Buffer | string>,
  { headers = {}, headAfterMs = HEAD_AFTER_MS, onFailure }: EventStreamOptions = {},
): Promise<void> {
  const iterator = messages[Symbol.asyncIterator]();
  const sendHead = () => {
    if (response.headersSent || response.destroyed) return;
    response.socket?.setNoDelay(true);
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
      ...headers,
    });
    response.flushHeaders();
  };
  const head = setTimeout(sendHead, headAfterMs);
  const comments = setInterval(() => {
    if (response.headersSent && !response.writableNeedDrain) response.write(': keep-alive\n\n');
  }, COMMENT_MS);
  try {
    let next = await iterator.next();
    sendHead();
    while (!next.done && !response.destroyed) {
      if (!response.write(toText(next.value))) await drained(response);
      next = await iterator.next();
    }
  } catch (thrown) {
    if (!response.headersSent) throw thrown;
    if (onFailure !== undefined) response.write(toText(onFailure(thrown)));
  } finally {
    clearTimeout(head);
    clearInterval(comments);
    await iterator.return?.();
    if (response.headersSent) response.end();
  }
}

function toText(message: SseMessage | Buffer | string): string | Buffer {
  if (typeof message === 'string' || Buffer.isBuffer(message)) return message;
  const { event, id, data } = message;
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return `${event === undefined ? '' : `event: ${event}\n`}${id === undefined ? '' : `id: ${id}\n`}data: ${text}\n\n`;
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(stalled);
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    const stalled = setTimeout(() => response.destroy(), STALL_MS);
    response.once('drain', done);
    response.once('close', done);
  });
}
