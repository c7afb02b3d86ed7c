import { CodelabError } from '@codelab/protocol';
import { ADDRESS_LIMITS, type SocketLimits, UNKNOWN_SOCKETS } from './socket-limits.ts';

/** Counts what one socket has open. */
export interface Meter {
  /** Takes a place for a call; whoever took it gives it back. Throws `RATE_LIMITED` where there is none left. */
  enter(type: 'query' | 'mutation' | 'subscription'): () => void;
  /** Counts bytes that came, until `whole` or `close`. False where the caller holds too many. */
  bytes(count: number): boolean;
  /** Says that what came is a whole message now, or that so much of it was a ping. */
  whole(count?: number): void;
  close(): void;
}

/** A socket of an address. */
export interface Place {
  /** Its caller has shown who it is. */
  known(): void;
  leave(): void;
}

/** Counts what sockets have open, each by itself and those of one address together. Our own services have none. */
export interface Meters {
  /** Lets a socket of an address come, or says why not. */
  arrive(address: string | undefined, isKnown: boolean): Place | CodelabError;
  open(address: string | undefined, limits: SocketLimits): Meter;
}

interface Caller {
  sockets: number;
  unknown: number;
  subscriptions: number;
  bytes: number;
}

export function createMeters(): Meters {
  const callers = new Map<string | undefined, Caller>();
  const callerOf = (address: string | undefined): Caller => {
    const known = callers.get(address);
    if (known !== undefined) return known;
    const caller = { sockets: 0, unknown: 0, subscriptions: 0, bytes: 0 };
    callers.set(address, caller);
    return caller;
  };
  return {
    arrive(address, isKnown) {
      const caller = callerOf(address);
      if (caller.sockets >= ADDRESS_LIMITS.sockets)
        return tooMany(`${ADDRESS_LIMITS.sockets} sockets of this address are open`, 'close some');
      if (!isKnown && caller.unknown >= UNKNOWN_SOCKETS)
        return tooMany(`${UNKNOWN_SOCKETS} sockets of this address have shown no token yet`, 'show one');
      caller.sockets++;
      let isUnknown = !isKnown;
      if (isUnknown) caller.unknown++;
      const known = () => {
        if (isUnknown) caller.unknown--;
        isUnknown = false;
      };
      return {
        known,
        leave() {
          known();
          caller.sockets--;
          if (caller.sockets === 0) callers.delete(address);
        },
      };
    },

    open(address, limits) {
      const caller = address === undefined ? undefined : callerOf(address);
      let subscriptions = 0;
      let calls = 0;
      let unfinished = 0;
      let isClosed = false;
      const count = (what: 'subscriptions' | 'bytes', by: number) => {
        if (caller !== undefined) caller[what] += by;
      };
      const whole = (size = unfinished) => {
        const gone = Math.min(size, unfinished);
        unfinished -= gone;
        count('bytes', -gone);
      };
      return {
        enter(type) {
          if (type !== 'subscription') {
            if (calls >= limits.calls)
              throw tooMany(`${limits.calls} calls of this socket are at work`, 'wait for some');
            calls++;
            return () => void calls--;
          }
          if (subscriptions >= limits.subscriptions)
            throw tooMany(`${limits.subscriptions} subscriptions of this socket are open`, 'end some');
          if (caller !== undefined && caller.subscriptions >= ADDRESS_LIMITS.subscriptions)
            throw tooMany(`${ADDRESS_LIMITS.subscriptions} subscriptions of this address are open`, 'end some');
          subscriptions++;
          count('subscriptions', 1);
          let isOver = false;
          return () => {
            if (isOver || isClosed) return;
            isOver = true;
            subscriptions--;
            count('subscriptions', -1);
          };
        },
        bytes(size) {
          unfinished += size;
          count('bytes', size);
          return caller === undefined || caller.bytes <= ADDRESS_LIMITS.bytes;
        },
        whole,
        close() {
          if (isClosed) return;
          isClosed = true;
          whole();
          count('subscriptions', -subscriptions);
        },
      };
    },
  };
}

function tooMany(what: string, how: string): CodelabError {
  return new CodelabError('RATE_LIMITED', `${what}, and no more are taken: ${how}, then try again.`, {
    retryAfterMs: 1000,
  });
}
