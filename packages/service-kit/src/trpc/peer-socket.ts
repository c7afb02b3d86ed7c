import { backoff, transformer } from '@codelab/protocol';
import { WebSocket } from 'ws';
import { bringsData } from './pushable.ts';

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1_000;
/** A peer that says nothing for one to two of these, and does not answer a ping for another, is gone. */
const PING_MS = 10_000;
/** Time that a socket without a call stays open. */
const UNUSED_MS = 60_000;
const socketOptions = { perMessageDeflate: false, skipUTF8Validation: true, handshakeTimeout: 5_000 };
/** UTF-16 code units of calls that are sent in one message. */
const BATCH_LENGTH = 256 * 1024;

export interface PeerSocketOptions {
  /** `ws://host:port/trpc` */
  url: string;
  headers: Record<string, string>;
  onOpen(): void;
  /** Called each time that it cannot be opened, or breaks. */
  onLost(): void;
}

/** One call of the peer: a query, a mutation or a subscription. */
export interface PeerCall {
  method: 'query' | 'mutation' | 'subscription';
  path: string;
  input: unknown;
  /** Takes the messages of a subscription that bring data, as text, each without its id. Without it they come to `onMessage`. */
  onTail?: ((tail: string) => void) | undefined;
  /** Takes each message, parsed. */
  onMessage(message: PeerMessage): void;
  /** Called when a query or a mutation was sent, and the socket broke: it may have been made or not. */
  onBroken(): void;
  /** Tells whether the peer can be reached, now and whenever that changes. */
  onReachable(isReachable: boolean): void;
}

/** Format: https://trpc.io/docs/rpc, its data still serialised. */
export type PeerMessage = { error: unknown } | { result: { type: string; id?: string; data?: unknown } };

/**
 * A socket to another of our services, shared by all calls. It is opened by the first call; subscriptions outlive it: each is begun again
 * where its last message was, as soon as the peer is back.
 */
export interface PeerSocket {
  /** Begins a call; it is sent at once where the socket is open. Returns what ends it. */
  begin(call: PeerCall): () => void;
  /** Ends all calls, and the socket. */
  close(): void;
}

interface Open {
  call: PeerCall;
  head: string;
  isSent: boolean;
  /** The last message with data: where the subscription goes on from is in it. */
  last: string | undefined;
}

export function createPeerSocket({ url, headers, onOpen, onLost }: PeerSocketOptions): PeerSocket {
  const calls = new Map<number, Open>();
  let lastId = 0;
  let attempt = 0;
  let socket: WebSocket | undefined;
  let isOpen = false;
  let isClosed = false;
  let retry: NodeJS.Timeout | undefined;
  let unused: NodeJS.Timeout | undefined;
  let heard = true;
  let isPinged = false;

  const toText = (open: Open): string => {
    open.isSent = true;
    const position = open.last === undefined ? undefined : positionOf(open.last);
    return `${open.head}${position === undefined ? '' : `,"lastEventId":${JSON.stringify(position)}`}}}`;
  };
  /** Sends all that waits, and begins the subscriptions again: there may be thousands, so in a few messages. */
  const sendAll = (opened: WebSocket) => {
    let batch: string[] = [];
    let length = 0;
    const flush = () => {
      if (batch.length > 0) opened.send(`[${batch.join(',')}]`);
      batch = [];
      length = 0;
    };
    for (const open of calls.values()) {
      const text = toText(open);
      if (length + text.length > BATCH_LENGTH) flush();
      batch.push(text);
      length += text.length;
    }
    flush();
  };

  const connect = () => {
    retry = undefined;
    isPinged = false;
    heard = true;
    const opened = new WebSocket(url, { headers, ...socketOptions });
    socket = opened;
    opened.on('open', () => {
      isOpen = true;
      attempt = 0;
      onOpen();
      for (const open of calls.values()) open.call.onReachable(true);
      sendAll(opened);
    });
    opened.on('message', (data) => {
      heard = true;
      take((data as Buffer).toString('utf8'));
    });
    opened.on('ping', () => {
      heard = true;
    });
    opened.on('error', () => {});
    opened.on('close', () => {
      if (socket === opened) lost();
    });
  };

  const lost = () => {
    socket = undefined;
    isOpen = false;
    if (isClosed) return;
    if (calls.size > 0) onLost();
    for (const [id, open] of [...calls]) {
      if (open.call.method !== 'subscription' && open.isSent) {
        calls.delete(id);
        open.call.onBroken();
      } else {
        open.isSent = false;
        open.call.onReachable(false);
      }
    }
    if (calls.size > 0) connectLater();
  };
  const connectLater = () => {
    retry ??= setTimeout(connect, backoff(attempt++, FIRST_RETRY_MS, LONGEST_RETRY_MS));
  };

  const take = (text: string) => {
    const comma = text.indexOf(',');
    const id = text.startsWith('{"id":') ? Number(text.slice(6, comma)) : 0;
    const open = calls.get(id);
    if (open === undefined) return;
    if (open.call.onTail !== undefined && bringsData(text, comma + 1)) {
      open.last = text;
      open.call.onTail(text.slice(comma + 1));
      return;
    }
    const message = parsed(text);
    // It speaks another wire: what is open is begun again, or told.
    if (message === undefined) return socket?.terminate();
    const isLast = open.call.method !== 'subscription' || 'error' in message || message.result.type === 'stopped';
    if (isLast) forget(id);
    else if ('result' in message && message.result.id !== undefined) open.last = text;
    open.call.onMessage(message);
  };

  const watch = setInterval(() => {
    if (!isOpen) return;
    if (heard) {
      heard = false;
      isPinged = false;
    } else if (isPinged) socket?.terminate();
    else {
      isPinged = true;
      socket?.send('PING');
    }
  }, PING_MS).unref();

  const forget = (id: number) => {
    calls.delete(id);
    if (calls.size > 0) return;
    clearTimeout(unused);
    unused = setTimeout(() => {
      if (calls.size > 0) return;
      const closing = socket;
      socket = undefined;
      isOpen = false;
      closing?.close();
    }, UNUSED_MS).unref();
  };
  const end = (id: number) => {
    const open = calls.get(id);
    if (open === undefined) return;
    if (open.call.method === 'subscription' && open.isSent) socket?.send(`{"id":${id},"method":"subscription.stop"}`);
    forget(id);
  };

  return {
    begin(call) {
      if (isClosed) {
        queueMicrotask(() => tellClosed(call));
        return () => {};
      }
      const id = ++lastId;
      const input = JSON.stringify(transformer.serialize(call.input));
      const head = `{"id":${id},"method":"${call.method}","params":{"path":${JSON.stringify(call.path)},"input":${input}`;
      const open: Open = { call, head, isSent: false, last: undefined };
      calls.set(id, open);
      call.onReachable(isOpen);
      if (isOpen) socket?.send(toText(open));
      else if (socket === undefined && retry === undefined) connect();
      return () => end(id);
    },
    close() {
      isClosed = true;
      clearTimeout(retry);
      clearTimeout(unused);
      clearInterval(watch);
      const open = [...calls.values()];
      calls.clear();
      for (const { call } of open) tellClosed(call);
      socket?.close();
    },
  };
}

function tellClosed(call: PeerCall): void {
  if (call.method === 'subscription') call.onMessage({ result: { type: 'stopped' } });
  else call.onBroken();
}

function parsed(text: string): PeerMessage | undefined {
  try {
    const message = JSON.parse(text) as Partial<{ error: object; result: object }>;
    if (typeof message.error === 'object' || typeof message.result === 'object') return message as PeerMessage;
  } catch {}
  return undefined;
}

/** Returns the position in the text of a message with data. */
function positionOf(text: string): string | undefined {
  return (JSON.parse(text) as { result: { id?: string } }).result.id;
}
