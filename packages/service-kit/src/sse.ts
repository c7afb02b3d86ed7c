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

/** Calls `onGone` when the client goes before its answer is whole, at once where it has gone already. */
export function whenGone(response: ServerResponse, onGone: () => void): void {
  if (response.destroyed) onGone();
  response.once('close', () => {
    if (!response.writableFinished) onGone();
  });
}

/** Aborted when the client has gone. */
export function clientGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  whenGone(response, () => controller.abort());
  return controller.signal;
}

export interface EventStreamOptions {
  headers?: Record<string, string>;
  /** Milliseconds that the head waits for the first message, so that a failure before it can have a status. @default 10_000 */
  headAfterMs?: number;
  /** Milliseconds between two comments. @default 15_000 */
  commentMs?: number;
  /** Returns the last message of a stream that fails after the head. Without it the stream just ends. */
  onFailure?: (thrown: unknown) => SseMessage | string;
}

/** An event stream that somebody writes to. */
export interface EventStream {
  /** Sends an event, or whole events as they are. The result is there to be waited for, where the client is slow. */
  write(message: SseMessage | Buffer | string): Promise<void> | undefined;
  /** Ends the response with the event of `onFailure`; throws `thrown` where nothing has been sent yet, so that it can have a status. */
  fail(thrown: unknown): void;
  end(): void;
}

/**
 * Opens an event stream: the head is sent with the first event, or after a while without one; comments keep whoever is between
 * from taking the silence for death; a client that takes nothing for 30 s is given up.
 */
export function openEventStream(
  response: ServerResponse,
  { headers = {}, headAfterMs = HEAD_AFTER_MS, commentMs = COMMENT_MS, onFailure }: EventStreamOptions = {},
): EventStream {
  const sendHead = () => {
    if (response.headersSent || response.destroyed) return;
    clearTimeout(head);
    response.socket?.setNoDelay(true);
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      ...headers,
    });
    response.flushHeaders();
  };
  const head = setTimeout(sendHead, headAfterMs);
  const comments = setInterval(() => {
    if (response.headersSent && !response.writableNeedDrain) writeChunk(response, ': keep-alive\n\n');
  }, commentMs);
  const stop = () => {
    clearTimeout(head);
    clearInterval(comments);
  };
  return {
    write(message) {
      if (response.destroyed) return undefined;
      if (!response.headersSent) sendHead();
      return writeChunk(response, toText(message)) ? undefined : drained(response);
    },
    fail(thrown) {
      stop();
      if (!response.headersSent) throw thrown;
      if (onFailure !== undefined && !response.destroyed) writeChunk(response, toText(onFailure(thrown)));
      response.end();
    },
    end() {
      stop();
      sendHead();
      response.end();
    },
  };
}

/** Writes `messages` as an event stream and ends the response. Throws, with nothing written, what they throw before the head is sent. */
export async function sendEventStream(
  response: ServerResponse,
  messages: AsyncIterable<SseMessage>,
  options?: EventStreamOptions,
): Promise<void> {
  const stream = openEventStream(response, options);
  try {
    for await (const message of messages) {
      if (response.destroyed) break;
      await stream.write(message);
    }
  } catch (thrown) {
    return stream.fail(thrown);
  }
  stream.end();
}

function toText(message: SseMessage | Buffer | string): string | Buffer {
  if (typeof message === 'string' || Buffer.isBuffer(message)) return message;
  const { event, id, data } = message;
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return `${event === undefined ? '' : `event: ${event}\n`}${id === undefined ? '' : `id: ${id}\n`}data: ${text}\n\n`;
}

/**
 * Writes one chunk of a chunked body as one piece. `response.write` would hand the socket four (size, line end, data, line end), which is
 * most of what passing on a small event costs. Format: https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding
 */
function writeChunk(response: ServerResponse, data: string | Buffer): boolean {
  const { socket } = response;
  // A head that waits behind another answer on the same connection, or no chunks at all: HTTP/1.0.
  if (socket === null || !response.chunkedEncoding) return response.write(data);
  if (typeof data === 'string') return socket.write(`${Buffer.byteLength(data).toString(16)}\r\n${data}\r\n`);
  const size = data.length.toString(16);
  const chunk = Buffer.allocUnsafe(size.length + data.length + 4);
  chunk.write(size, 0, 'latin1');
  chunk.write('\r\n', size.length, 'latin1');
  data.copy(chunk, size.length + 2);
  chunk.write('\r\n', size.length + 2 + data.length, 'latin1');
  return socket.write(chunk);
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    // What was written to the socket past the response drains there.
    const writer = response.socket ?? response;
    const done = () => {
      clearTimeout(stalled);
      writer.off('drain', done);
      response.off('close', done);
      resolve();
    };
    const stalled = setTimeout(() => response.destroy(), STALL_MS);
    writer.once('drain', done);
    response.once('close', done);
  });
}
