import type { Presence } from '../machine/draft.ts';

/** How long a client that is cut off, or a service that starts anew, may take to come back. */
export const GRACE_MS = 5_000;

/** The clients of one session, by what they follow. Volatile: after a restart each has its grace. */
export interface ClientPresence {
  of(clientId: string): Presence;
  /** Counts one subscription. Returns a function that ends it. */
  came(clientId: string): () => void;
  /** Gives a client that was heard of its grace. */
  heard(clientId: string): void;
  close(): void;
}

export interface ClientPresenceOptions {
  graceMs: number;
  /** Called when a client came, or is gone for good. */
  onChange(): void;
}

export function createClientPresence({ graceMs, onChange }: ClientPresenceOptions): ClientPresence {
  const subscriptions = new Map<string, number>();
  /** The clients without a subscription that may come back. */
  const away = new Map<string, NodeJS.Timeout>();
  /** The grace of all: nobody knows yet who was there. */
  let start: NodeJS.Timeout | undefined = setTimeout(() => {
    start = undefined;
    onChange();
  }, graceMs).unref();

  const endGrace = (clientId: string) => {
    clearTimeout(away.get(clientId));
    away.delete(clientId);
  };
  const heard = (clientId: string) => {
    if (subscriptions.has(clientId)) return;
    endGrace(clientId);
    const timer = setTimeout(() => {
      away.delete(clientId);
      onChange();
    }, graceMs).unref();
    away.set(clientId, timer);
  };

  return {
    of(clientId) {
      if (subscriptions.has(clientId)) return 'here';
      return start !== undefined || away.has(clientId) ? 'away' : 'gone';
    },
    came(clientId) {
      endGrace(clientId);
      const before = subscriptions.get(clientId) ?? 0;
      subscriptions.set(clientId, before + 1);
      if (before === 0) onChange();
      return () => {
        const left = (subscriptions.get(clientId) ?? 1) - 1;
        if (left > 0) return void subscriptions.set(clientId, left);
        subscriptions.delete(clientId);
        heard(clientId);
      };
    },
    heard,
    close() {
      clearTimeout(start);
      for (const timer of away.values()) clearTimeout(timer);
    },
  };
}
