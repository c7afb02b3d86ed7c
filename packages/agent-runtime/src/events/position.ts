import { type LiveStep, liveItemId } from './live-step.ts';

/** The part of a live step's item that was read. */
export interface ShownItem {
  /** In UTF-16 code units. */
  length: number;
}

/**
 * A reader's position: behind the event `seq` of a log, and so far in the live step.
 * Format: `<log>-<seq>`, or `<log>-<seq>~<step>~<kinds>~<offsets>`, with the kinds of the step's items that were begun (`i2c1`: two items and a
 * call) and how far those were read that were not over (`1:25,2:7`: 25 code units of the second).
 */
export interface Position {
  /** Names the log: a session that is created anew under the id of a deleted one has another. */
  log: string;
  seq: number;
  step?: { id: string; shown: Map<string, ShownItem> };
}

/** The most offsets that a position holds, so that it stays short: those of the newest items. */
const MOST_OFFSETS = 8;

export function formatPosition(
  { log, seq }: Pick<Position, 'log' | 'seq'>,
  step?: LiveStep,
  shown: ReadonlyMap<string, ShownItem> = new Map(),
): string {
  if (step === undefined) return `${log}-${seq}`;
  let kinds = '';
  let count = 0;
  const offsets: string[] = [];
  for (const [index, { item, isSealed, length }] of step.items.entries()) {
    const read = shown.get(item.itemId);
    if (read === undefined) break;
    const kind = item.kind === 'tool_call' ? 'c' : 'i';
    const same = kinds.endsWith(kind);
    if (same) count++;
    else {
      kinds += `${count > 0 ? count : ''}${kind}`;
      count = 1;
    }
    if (!isSealed || read.length < length) offsets.push(`${index}:${read.length}`);
  }
  if (kinds === '') return `${log}-${seq}`;
  return `${log}-${seq}~${step.id}~${kinds}${count}~${offsets.slice(-MOST_OFFSETS).join(',')}`;
}

/** Parses a position. Returns undefined where the text is none. */
export function parsePosition(text: string): Position | undefined {
  const [, log, seq, id, kinds, offsets] =
    /^([a-z0-9]{1,12})-(\d{1,15})(?:~([a-z0-9]{1,40})~([ic0-9]{1,200})~([\d:,]*))?$/.exec(text) ?? [];
  if (log === undefined || seq === undefined) return undefined;
  if (id === undefined) return { log, seq: Number(seq) };
  const shown = new Map<string, ShownItem>();
  const ids: string[] = [];
  for (const [, kind, count] of (kinds ?? '').matchAll(/([ic])(\d{1,4})/g))
    for (let n = 0; n < Number(count); n++) {
      const itemId = liveItemId(id, ids.length, kind === 'c');
      ids.push(itemId);
      shown.set(itemId, { length: Number.POSITIVE_INFINITY });
    }
  for (const [, index, length] of (offsets ?? '').matchAll(/(\d{1,5}):(\d{1,12})/g)) {
    const itemId = ids[Number(index)];
    if (itemId !== undefined) shown.set(itemId, { length: Number(length) });
  }
  return { log, seq: Number(seq), step: { id, shown } };
}
