import type { IncomingHttpHeaders } from 'node:http';
import { CodelabError } from '@codelab/protocol';
import { Agent, type Dispatcher } from 'undici';

/** What may wait for a slow reader before the provider is made to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** How long the end of an answer that nobody reads any more may take, before its connection is given up. */
const DISCARD_MS = 1_000;
const KEEP_ALIVE_MS = 60_000;

export interface UpstreamRequest {
  /** `https://api.openai.com` */
  origin: string;
  /** With its leading slash. */
  path: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: Buffer | string;
}

export interface UpstreamResponse {
  status: number;
  headers: IncomingHttpHeaders;
  /** The next packet of the body; undefined at its end. Rejects when the connection breaks or the request is aborted. */
  next(): Promise<Buffer | undefined>;
  /** The rest of the body. Rejects with `PROVIDER_UNAVAILABLE` where it is longer than `limit` bytes. */
  read(limit: number): Promise<Buffer>;
  /** The rest is of no interest. */
  discard(): void;
}

/** The connections to all providers. */
export interface Upstream {
  /** Resolves with the head of the answer. Aborting `signal` closes the connection at once, whatever the answer's state. */
  send(request: UpstreamRequest, signal: AbortSignal): Promise<UpstreamResponse>;
  close(): Promise<void>;
}

export interface UpstreamOptions {
  /** How long a connection may take to come about. Milliseconds. */
  connectTimeoutMs: number;
}

/**
 * Plain HTTP/1.1 by undici's `dispatch`, the cheapest way there is in Node: no `fetch`, no web streams. As many connections as
 * there are streams: a stream never waits for another one to end.
 */
export function createUpstream({ connectTimeoutMs }: UpstreamOptions): Upstream {
  const agent = new Agent({
    connect: { timeout: connectTimeoutMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    // The limits of a completion are kept by whoever asks for it.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    send: (request, signal) =>
      new Promise((resolve, reject) => {
        const exchange = new Exchange(resolve, reject, signal);
        agent.dispatch({ ...request, body: request.body ?? null }, exchange);
      }),
    close: () => agent.destroy(),
  };
}

class Exchange implements Dispatcher.DispatchHandler, UpstreamResponse {
  status = 0;
  headers: IncomingHttpHeaders = {};
  readonly #onHead: (response: UpstreamResponse) => void;
  readonly #onFailure: (reason: unknown) => void;
  readonly #signal: AbortSignal;
  readonly #abort: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #packets: Buffer[] = [];
  #waitingBytes = 0;
  #isOver = false;
  #failure: Error | undefined;
  #isDiscarded = false;
  #wake: (() => void) | undefined;

  constructor(onHead: (response: UpstreamResponse) => void, onFailure: (reason: unknown) => void, signal: AbortSignal) {
    this.#onHead = onHead;
    this.#onFailure = onFailure;
    this.#signal = signal;
    this.#abort = () => {
      const reason = new Error('aborted');
      this.#controller?.abort(reason);
      this.onResponseError(undefined, reason);
    };
    if (signal.aborted) this.#abort();
    else signal.addEventListener('abort', this.#abort, { once: true });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(this.#failure ?? new Error('aborted'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
    this.#onHead(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, packet: Buffer): void {
    if (this.#isDiscarded) return;
    this.#packets.push(packet);
    this.#waitingBytes += packet.length;
    if (this.#waitingBytes > HIGH_WATER_BYTES) controller.pause();
    this.#wake?.();
  }

  onResponseEnd(): void {
    this.#end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#isOver) return;
    this.#failure = error;
    this.#end();
    this.#onFailure(error);
  }

  #end(): void {
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#abort);
    this.#wake?.();
  }

  next(): Promise<Buffer | undefined> {
    const packet = this.#packets.shift();
    if (packet !== undefined) {
      this.#waitingBytes -= packet.length;
      if (this.#waitingBytes === 0 && this.#controller?.paused) this.#controller.resume();
      return Promise.resolve(packet);
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isOver) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve(this.next());
      };
    });
  }

  async read(limit: number): Promise<Buffer> {
    const packets: Buffer[] = [];
    let length = 0;
    for (let packet = await this.next(); packet !== undefined; packet = await this.next()) {
      packets.push(packet);
      length += packet.length;
      if (length > limit) {
        this.#abort();
        throw new CodelabError('PROVIDER_UNAVAILABLE', `The provider's answer is longer than ${limit} bytes.`);
      }
    }
    return packets.length === 1 ? (packets[0] as Buffer) : Buffer.concat(packets, length);
  }

  discard(): void {
    if (this.#isOver) return;
    this.#isDiscarded = true;
    this.#packets = [];
    if (this.#controller?.paused) this.#controller.resume();
    const timer = setTimeout(this.#abort, DISCARD_MS);
    timer.unref();
    this.#wake = () => clearTimeout(timer);
  }
}
