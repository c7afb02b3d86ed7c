import { CodelabError, transformer } from '@codelab/protocol';
import { toCodelabError } from '../error-shape.ts';
import type { FrameGuard } from '../frame-guard.ts';
import { jsonDepthExceeds, MAX_JSON_DEPTH } from '../json-depth.ts';

export type CallId = string | number;
/** So many calls of a message that is not parsed are answered. */
const MOST_IDS = 1_000;

/** A call of tRPC's WebSocket wire: https://trpc.io/docs/rpc */
export interface Call {
  id: CallId;
  jsonrpc?: unknown;
  method: string;
  params: { path: string; input?: unknown; lastEventId?: string };
}

/** The calls of a message that go on, and those that are answered right here. `id` is null where the call has none. */
export interface Sorted {
  taken: Call[];
  refused: Array<{ id: CallId | null; jsonrpc?: unknown; error: CodelabError }>;
  /** Nothing in it makes sense. */
  isSenseless?: boolean;
}

/**
 * Looks at a message before tRPC does: tRPC's adapter refuses a whole batch for one bad call, without saying which, and its caller waits for ever.
 * Each call that cannot be taken gets an answer of its own.
 */
export function sortFrame(frame: Buffer, guard: FrameGuard): Sorted {
  if (jsonDepthExceeds(frame, MAX_JSON_DEPTH)) {
    const error = new CodelabError(
      'VALIDATION',
      `The message is nested more than ${MAX_JSON_DEPTH} levels deep: send flatter JSON, or the deep part as a string.`,
    );
    // To parse it only to tell whose it is would cost seconds.
    const ids = idsIn(frame);
    return { taken: [], refused: (ids.length === 0 ? [null] : ids).map((id) => ({ id, error })), isSenseless: true };
  }
  let json: unknown;
  try {
    json = JSON.parse(frame.toString('utf8'));
  } catch (cause) {
    const error = new CodelabError('VALIDATION', `The message is not JSON: ${(cause as Error).message}`, { cause });
    return { taken: [], refused: [{ id: null, error }], isSenseless: true };
  }
  const calls: unknown[] = Array.isArray(json) ? json : [json];
  const sorted: Sorted = { taken: [], refused: [] };
  for (const call of calls) {
    // To stop something is never too much.
    const error = isStop(call) ? undefined : (guard.take() ?? mistakeOf(call));
    if (error === undefined) sorted.taken.push(call as Call);
    else sorted.refused.push({ ...namesOf(call), error });
    if (guard.isFlooded) break;
  }
  if (sorted.taken.length === 0 && sorted.refused.every(({ id }) => id === null)) sorted.isSenseless = true;
  return sorted;
}

/** Returns why tRPC would not take this call, if it would not. Deserialises its input, while it can still be answered. */
function mistakeOf(call: unknown): CodelabError | undefined {
  if (!isObject(call)) return wrong('a call is an object');
  const { id, jsonrpc, method, params } = call;
  if (typeof id !== 'string' && typeof id !== 'number') return wrong('"id" must be a number or text');
  if (jsonrpc !== undefined && jsonrpc !== '2.0') return wrong('"jsonrpc" must be "2.0"');
  if (method !== 'query' && method !== 'mutation' && method !== 'subscription')
    return wrong('"method" must be one of: query, mutation, subscription, subscription.stop');
  if (!isObject(params) || typeof params.path !== 'string') return wrong('"params.path" must name a procedure');
  if (params.lastEventId !== undefined && typeof params.lastEventId !== 'string')
    return wrong('"params.lastEventId" must be text');
  if (!isObject(params.input) || params.input.meta == null) return undefined;
  try {
    params.input = { json: transformer.deserialize(params.input as never) };
  } catch (thrown) {
    return toCodelabError(thrown);
  }
  return undefined;
}

function wrong(what: string): CodelabError {
  return new CodelabError('VALIDATION', `This is no call of tRPC's: ${what}.`);
}

/** Returns the id of each call of a message, as far as it is one. */
export function idsOf(json: unknown): Array<{ id: CallId | null; jsonrpc?: unknown }> {
  return (Array.isArray(json) ? json : [json])
    .filter((call) => isObject(call) && 'id' in call && !isStop(call))
    .map(namesOf);
}

function namesOf(call: unknown): { id: CallId | null; jsonrpc?: unknown } {
  if (!isObject(call)) return { id: null };
  const { id, jsonrpc } = call;
  return {
    id: typeof id === 'string' || typeof id === 'number' ? id : null,
    ...(jsonrpc === '2.0' ? { jsonrpc } : {}),
  };
}

function isStop(call: unknown): boolean {
  return isObject(call) && call.method === 'subscription.stop';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Finds the ids of the calls in a message that is not parsed: `"id": …` where a call has it, and nowhere deeper. */
function idsIn(frame: Buffer): CallId[] {
  const ids: CallId[] = [];
  const [first] = /[[{]/.exec(frame.toString('latin1', 0, 100)) ?? [];
  const level = first === '[' ? 2 : 1;
  let depth = 0;
  for (let at = 0; at < frame.length && ids.length < MOST_IDS; at++) {
    const byte = frame[at];
    if (byte === 0x7b || byte === 0x5b) depth++;
    else if (byte === 0x7d || byte === 0x5d) depth--;
    else if (byte === 0x22) {
      const end = endOfString(frame, at);
      const named = depth === level && end - at === 3 ? /^"id"\s*:\s*(-?\d{1,15}|"[\w.:-]{1,128}")\s*[,}]/ : undefined;
      const [, id] = named?.exec(frame.toString('latin1', at, at + 200)) ?? [];
      if (id !== undefined) ids.push(JSON.parse(id) as CallId);
      at = end;
    }
  }
  return ids;
}

function endOfString(frame: Buffer, start: number): number {
  for (let at = start + 1; at < frame.length; at++) {
    if (frame[at] === 0x5c) at++;
    else if (frame[at] === 0x22) return at;
  }
  return frame.length;
}
