import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type Dispatcher } from 'undici';
import { ProviderError } from '../errors/provider-error.ts';
import type { CancelSignal } from '../lib/cancel-token.ts';

/** Bytes that may wait for a slow reader before the socket is paused. */
const HIGH_WATER_BYTES = 256 * 1024;
/** Time for the rest of a discarded answer, until its connection is closed instead of reused. */
const DISCARD_MS = 1_000;
const KEEP_ALIVE_MS = 60_000;

export interface HttpClientRequest {
  /** `https://api.openai.com` */
  origin: string;
  /** Path and query, with the leading slash. */
  path: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: Buffer | string;
}

/** Receives a packet. Returns `enough` if the rest of the body is not needed. Backpressure: a promise is awaited before the next packet. */
export type PacketHandler = (packet: Buffer) => Promise<'enough' | undefined> | 'enough' | undefined;

export interface HttpClientResponse {
  status: number;
  headers: IncomingHttpHeaders;
  /**
   * Gives each packet to `handler` as it comes. Resolves at the end of the body, or when `handler` returns `enough`: the rest is discarded.
   * While `handler` is slow, packets wait, and beyond 256 KiB the socket is paused. Rejects when the connection breaks, the request is
   * aborted, or `handler` throws.
   */
  each(handler: PacketHandler): Promise<void>;
  /** Reads the rest of the body. Rejects with `PROVIDER_UNAVAILABLE` if it is longer than `limit` bytes. */
  read(limit: number): Promise<Buffer>;
}

/** The error of an aborted request. */
export class Aborted extends Error {
  override readonly name = 'Aborted';
  /** `wasSent`: the provider may have the request, and may charge for it. */
  constructor(readonly wasSent: boolean) {
    super('aborted');
  }
}

/** HTTP client with the connections to all providers. */
export interface HttpClient {
  /** Resolves with the head of the answer. Aborting `signal` closes the connection at once. */
  send(request: HttpClientRequest, signal: CancelSignal): Promise<HttpClientResponse>;
  close(): Promise<void>;
}

export interface HttpClientOptions {
  /** Time to establish a connection. Milliseconds. */
  connectTimeoutMs: number;
}

/**
 * Creates a client on undici's `dispatch`: plain HTTP/1.1, no `fetch`, no web streams, whose cost is in wire/README.md. Each stream has
 * its own connection, and never waits for another one to end.
 */
export function createHttpClient({ connectTimeoutMs }: HttpClientOptions): HttpClient {
  const agent = new Agent({
    connect: { timeout: connectTimeoutMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    // completion/timeouts.ts keeps the timeouts.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    send: (request, signal) =>
      new Promise((resolve, reject) => {
        const stream = new ResponseStream(resolve, reject, signal);
        agent.dispatch({ ...request, body: request.body ?? null }, stream);
      }),
    close: () => agent.destroy(),
  };
}

class ResponseStream implements Dispatcher.DispatchHandler, HttpClientResponse {
  status = 0;
  headers: IncomingHttpHeaders = {};
  readonly #onHead: (response: HttpClientResponse) => void;
  readonly #onFailure: (reason: unknown) => void;
  readonly #signal: CancelSignal;
  readonly #abort: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  /** Packets that wait for the handler. */
  #packets: Buffer[] = [];
  #waitingBytes = 0;
  #isOver = false;
  #failure: Error | undefined;
  #handler: PacketHandler | undefined;
  #isBusy = false;
  #isDiscarded = false;
  #discarding: NodeJS.Timeout | undefined;
  #done: (() => void) | undefined;
  #fail: ((reason: unknown) => void) | undefined;

  constructor(
    onHead: (response: HttpClientResponse) => void,
    onFailure: (reason: unknown) => void,
    signal: CancelSignal,
  ) {
    this.#onHead = onHead;
    this.#onFailure = onFailure;
    this.#signal = signal;
    this.#abort = () => {
      const reason = new Aborted(this.#controller !== undefined);
      this.#controller?.abort(reason);
      this.onResponseError(undefined, reason);
    };
    if (signal.aborted) this.#abort();
    else signal.addEventListener('abort', this.#abort);
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
    if (this.#handler !== undefined && !this.#isBusy && this.#packets.length === 0) {
      this.#give(packet);
      return;
    }
    this.#packets.push(packet);
    this.#waitingBytes += packet.length;
    if (this.#waitingBytes > HIGH_WATER_BYTES) controller.pause();
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
    clearTimeout(this.#discarding);
    this.#signal.removeEventListener('abort', this.#abort);
    this.#settle();
  }

  /** Settles `each` at the end, once the handler has had all packets. A failure settles it at once. */
  #settle(): void {
    if (!this.#isOver || this.#handler === undefined) return;
    if (this.#failure !== undefined) this.#fail?.(this.#failure);
    else if (!this.#isBusy && this.#packets.length === 0) this.#done?.();
  }

  #give(packet: Buffer): void {
    let wait: ReturnType<PacketHandler>;
    try {
      wait = this.#handler?.(packet);
    } catch (error) {
      this.#fail?.(error);
      this.#discard();
      return;
    }
    if (wait === undefined) return;
    if (wait === 'enough') {
      this.#discard();
      this.#done?.();
      return;
    }
    this.#isBusy = true;
    wait.then(
      (verdict) => {
        this.#isBusy = false;
        if (verdict === 'enough') {
          this.#discard();
          this.#done?.();
        } else this.#giveWaiting();
      },
      (error) => {
        this.#fail?.(error);
        this.#discard();
      },
    );
  }

  #giveWaiting(): void {
    while (!this.#isBusy && !this.#isDiscarded) {
      const packet = this.#packets.shift();
      if (packet === undefined) break;
      this.#waitingBytes -= packet.length;
      this.#give(packet);
    }
    if (this.#packets.length === 0 && this.#controller?.paused) this.#controller.resume();
    this.#settle();
  }

  each(handler: PacketHandler): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#handler = handler;
      this.#done = resolve;
      this.#fail = reject;
      this.#giveWaiting();
    });
  }

  async read(limit: number): Promise<Buffer> {
    const packets: Buffer[] = [];
    let length = 0;
    await this.each((packet) => {
      packets.push(packet);
      length += packet.length;
      if (length <= limit) return undefined;
      throw new ProviderError('PROVIDER_UNAVAILABLE', `The provider's answer is longer than ${limit} bytes`);
    });
    return packets.length === 1 ? (packets[0] as Buffer) : Buffer.concat(packets, length);
  }

  /** Discards the rest of the body. The connection can be reused if the body ends soon. */
  #discard(): void {
    this.#isDiscarded = true;
    this.#packets = [];
    if (this.#isOver) return;
    if (this.#controller?.paused) this.#controller.resume();
    this.#discarding = setTimeout(this.#abort, DISCARD_MS);
    this.#discarding.unref();
  }
}
