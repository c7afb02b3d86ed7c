import { type CounterStore, type Counters, noCounters, STREAM_LEASE_MS, windowsOf } from './quota.ts';

interface KeyState {
  /** Counts by minute. */
  requests: Map<string, number>;
  tokens: Map<string, number>;
  /** End of each stream's lease. */
  streams: Map<string, number>;
  /** Costs by day and by month. */
  microUsd: Map<string, number>;
}

/** Creates counters of this process alone: a restart forgets them. */
export function createMemoryCounters(): CounterStore {
  const keys = new Map<string, KeyState>();

  const stateOf = (key: string, now: number): KeyState => {
    let state = keys.get(key);
    if (state === undefined) {
      state = { requests: new Map(), tokens: new Map(), streams: new Map(), microUsd: new Map() };
      keys.set(key, state);
    }
    const { before, minute, day, month } = windowsOf(now);
    deleteExcept(state.requests, (name) => name === before || name === minute);
    deleteExcept(state.tokens, (name) => name === before || name === minute);
    deleteExcept(state.microUsd, (name) => name === day || name === month);
    deleteExcept(state.streams, (id) => (state.streams.get(id) ?? 0) > now);
    return state;
  };

  const countersOf = ({ requests, tokens, streams, microUsd }: KeyState, now: number): Counters => {
    const { before, minute, day, month } = windowsOf(now);
    return {
      requests: [requests.get(before) ?? 0, requests.get(minute) ?? 0],
      tokens: [tokens.get(before) ?? 0, tokens.get(minute) ?? 0],
      streams: streams.size,
      dayMicroUsd: microUsd.get(day) ?? 0,
      monthMicroUsd: microUsd.get(month) ?? 0,
    };
  };

  return {
    async enter(key, id, now) {
      const state = stateOf(key, now);
      add(state.requests, windowsOf(now).minute, 1);
      state.streams.set(id, now + STREAM_LEASE_MS);
      return countersOf(state, now);
    },
    async takeBack(key, id, now) {
      const state = stateOf(key, now);
      add(state.requests, windowsOf(now).minute, -1);
      state.streams.delete(id);
    },
    async renew(key, id, now) {
      stateOf(key, now).streams.set(id, now + STREAM_LEASE_MS);
    },
    async leave(key, id, { tokens, microUsd }, now) {
      const state = stateOf(key, now);
      const { minute, day, month } = windowsOf(now);
      state.streams.delete(id);
      add(state.tokens, minute, tokens);
      add(state.microUsd, day, microUsd);
      add(state.microUsd, month, microUsd);
    },
    async read(key, now) {
      return keys.has(key) ? countersOf(stateOf(key, now), now) : noCounters;
    },
    async close() {},
  };
}

function add(counts: Map<string, number>, name: string, value: number): void {
  counts.set(name, (counts.get(name) ?? 0) + value);
}

function deleteExcept(counts: Map<string, number>, keeps: (name: string) => boolean): void {
  for (const name of counts.keys()) if (!keeps(name)) counts.delete(name);
}
