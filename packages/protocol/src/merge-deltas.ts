import type { SessionEvent } from './event.ts';

/**
 * Two adjacent deltas of one item as one, or undefined if they are not that.
 * The merged delta takes the later one's place in the order.
 */
export function mergeDeltas(earlier: SessionEvent, later: SessionEvent): SessionEvent | undefined {
  if (earlier.type !== 'item.delta' || later.type !== 'item.delta' || earlier.itemId !== later.itemId) return undefined;
  // A gap stays one, for the reader to see.
  if (later.offset !== earlier.offset + earlier.text.length) return undefined;
  return { ...later, text: earlier.text + later.text, offset: earlier.offset };
}
