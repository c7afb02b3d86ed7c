import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type Dispatcher } from 'undici';
import { ProviderError } from '../errors/provider-error.ts';
import type { CancelSignal } from '../lib/cancel-token.ts';

/** What may wait for a slow reader before the provider is made to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** How long the end of an answer that nobody reads any more may take, before its connection is given up. */
const DISCARD_MS = 1_000;
const KEEP_ALIVE_MS = 60_000;

export interface HttpClientRequest {
  /** `https://api.openai.com` */
  origin: string;
  /** With its leading slash. */
  path: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: Buffer | string;
}

/** Takes a packet, and says whether it was the last that is of interest. */
export type PacketHandler = (packet: Buffer) => Promise<'enough' | undefined> | 'enough' | undefined;

export interface HttpClientResponse {
  status: number;
  headers: IncomingHttpHeaders;
  /**
   * Gives `handler` each packet as it comes. Resolves at the body's end, or when `handler` says `enough`: what comes after that is thrown
   * away. A promise of `handler` is waited for; the provider meanwhile, once too much has piled up. Rejects when the connection breaks, the
   * request is aborted, or `handler` throws.
   */
  each(handler: PacketHandler): Promise<void>;
  /** The rest of the body. Rejects with `PROVIDER_UNAVAILABLE` where it is longer than `limit` bytes. */
  read(limit: number): Promise<Buffer>;
}

/** Why a request that was aborted failed. */
export class Aborted extends Error {
  override readonly name = 'Aborted';
  /** `wasSent`: the provider may have had the request, and may be paid for it. */
  constructor(readonly wasSent: boolean) {
    super('aborted');
  }
}

/** The connections to all providers. */
export interface HttpClient {
  /** Resolves with the head of the answer. Aborting `signal` closes the connection at once, whatever the answer's state. */
  send(request: HttpClientRequest, signal: CancelSignal): Promise<HttpClientResponse>;
  close(): Promise<void>;
}

export interface HttpClientOptions {
  /** How long a connection may take to come about. Milliseconds. */
  connectTimeoutMs: number;
}

/**
 * Plain HTTP/1.1 by undici's `dispatch`, the cheapest way there is in Node: no `fetch`, no web streams. As many connections as
 * there are streams: a stream never waits for another one to end.
 */
export function createHttpClient({ connectTimeoutMs }: HttpClientOptions): HttpClient {
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
  /** Packets that nobody takes yet. */
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

  /** Tells whoever waits for the end, once all packets before it are taken. A failure comes at once. */
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

  /** The rest is of no interest, but a connection whose answer ends soon can be used again. */
  #discard(): void {
    this.#isDiscarded = true;
    this.#packets = [];
    if (this.#isOver) return;
    if (this.#controller?.paused) this.#controller.resume();
    this.#discarding = setTimeout(this.#abort, DISCARD_MS);
    this.#discarding.unref();
  }
}
