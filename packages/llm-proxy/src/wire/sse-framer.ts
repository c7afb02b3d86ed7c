import { ProviderError } from '../errors/provider-error.ts';
import { CR, LF } from './ascii.ts';

const BYTE_ORDER_MARK = Buffer.from('\ufeff');
/** Longest event that is held until it is whole. */
const MAX_EVENT_BYTES = 16 * 1024 * 1024;
const nothing = Buffer.alloc(0);

/**
 * Cuts a body of server-sent events at the ends of events, and keeps their bytes (hot path: README.md). Line ends become LF.
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export interface SseFramer {
  /** Returns whole events, each with the empty line after it; undefined while none is whole. A packet that ends with one is returned as it is. */
  push(packet: Buffer): Buffer | undefined;
  /** True if nothing is held: the next packet begins with an event. */
  isEmpty(): boolean;
  /** Returns the rest of the body: an event that is cut, or that only lacks its empty line. */
  rest(): Buffer;
}

/** Throws `PROVIDER_STREAM_LOST` for an event of more than 16 MiB. */
export function createSseFramer(): SseFramer {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let endsWithLf = false;
  let endsWithCr = false;
  /** Bytes of a byte order mark so far; undefined once other bytes have come. */
  let markBytes: number | undefined = 0;

  /** Removes the byte order mark that a body may begin with. */
  const withoutMark = (packet: Buffer): Buffer => {
    let at = 0;
    for (; at < packet.length && markBytes !== undefined; at++) {
      if (packet[at] !== BYTE_ORDER_MARK[markBytes]) break;
      markBytes = markBytes + 1 === BYTE_ORDER_MARK.length ? undefined : markBytes + 1;
    }
    if (at === packet.length && markBytes !== undefined) return nothing;
    markBytes = undefined;
    return packet.subarray(at);
  };

  /** Converts CR and CR LF to LF. */
  const withLf = (packet: Buffer): Buffer => {
    if (!endsWithCr && packet.indexOf(CR) === -1) return packet;
    const copy = Buffer.allocUnsafe(packet.length);
    let length = 0;
    for (const byte of packet) {
      if (byte === LF && endsWithCr) {
        endsWithCr = false;
        continue;
      }
      endsWithCr = byte === CR;
      copy[length++] = endsWithCr ? LF : byte;
    }
    return copy.subarray(0, length);
  };

  const hold = (bytes: Buffer) => {
    if (bytes.length === 0) return;
    heldBytes += bytes.length;
    if (heldBytes > MAX_EVENT_BYTES)
      throw new ProviderError('PROVIDER_STREAM_LOST', 'The provider sent an event of more than 16 MiB');
    held.push(bytes);
    endsWithLf = bytes[bytes.length - 1] === LF;
  };

  const take = (last: Buffer): Buffer => {
    if (held.length === 0) return last;
    const whole = Buffer.concat([...held, last], heldBytes + last.length);
    held = [];
    heldBytes = 0;
    endsWithLf = false;
    return whole;
  };

  return {
    push(raw) {
      const packet = withLf(markBytes === undefined ? raw : withoutMark(raw));
      if (packet.length === 0) return undefined;
      const end = endOfEvents(packet, endsWithLf);
      if (end === 0) {
        hold(packet);
        return undefined;
      }
      const whole = take(packet.subarray(0, end));
      hold(packet.subarray(end));
      return whole;
    },
    isEmpty: () => heldBytes === 0 && !endsWithCr,
    rest: () => take(nothing),
  };
}

/** Returns the offset of the end of the last whole event; 0 if there is none. */
function endOfEvents(packet: Buffer, afterLf: boolean): number {
  const { length } = packet;
  if (length > 1 && packet[length - 1] === LF && packet[length - 2] === LF) return length;
  const at = packet.lastIndexOf('\n\n');
  if (at !== -1) return at + 2;
  return afterLf && packet[0] === LF ? 1 : 0;
}

/** An event: its text as it came, its data, if it has any, and whether its name is `error`. */
export interface ServerSentEvent {
  raw: string;
  data: string | undefined;
  isError: boolean;
}

/** Yields the events of `text`, which `SseFramer` has cut. */
export function* eventsOf(text: string): Generator<ServerSentEvent> {
  for (let from = 0; from < text.length; ) {
    const at = text.indexOf('\n\n', from);
    const end = at === -1 ? text.length : at;
    const event = text.slice(from, end);
    from = at === -1 ? text.length : at + 2;
    if (event.trim() !== '')
      yield { raw: `${event}\n\n`, data: dataOf(event), isError: /^event: ?error$/m.test(event) };
  }
}

function dataOf(event: string): string | undefined {
  if (event.startsWith('data: ') && !event.includes('\n')) return event.slice(6);
  const lines = event.split('\n').filter((line) => line.startsWith('data:'));
  if (lines.length === 0) return undefined;
  return lines.map((line) => line.slice(line[5] === ' ' ? 6 : 5)).join('\n');
}
