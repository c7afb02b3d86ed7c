import type { NewSessionEvent } from './event.ts';
import type { Item } from './item.ts';

const LARGE = 1024 * 1024;

/** About how much memory an event takes. */
export function eventBytes(event: NewSessionEvent): number {
  switch (event.type) {
    case 'item.delta':
      return 150 + event.text.length * 2;
    case 'item.started':
    case 'item.completed':
      return itemBytes(event.item);
    case 'input.accepted':
      return 300 + event.input.content.length * 2;
    case 'stream.reset':
      return event.items.reduce((sum, item) => sum + itemBytes(item), 300);
    case 'tool.requested':
      return (
        500 +
        (jsonLength(event.arguments) + jsonLength(event.denied) + jsonLength(event.paths) + jsonLength(event.root)) * 2
      );
    case 'approval.requested':
      return (
        800 +
        (jsonLength(event.approval.arguments) +
          jsonLength(event.approval.changes) +
          jsonLength(event.approval.preview)) *
          2
      );
    case 'approval.updated':
      return 300 + jsonLength(event.changes) * 2;
    default:
      return 300;
  }
}

/** About how much memory an item takes, and how much of a page. */
export function itemBytes({ text, toolCall, fileChange, plan }: Item): number {
  let length = text.length;
  if (toolCall !== undefined) length += jsonLength(toolCall.arguments) + (toolCall.result?.length ?? 0);
  if (fileChange !== undefined) length += jsonLength(fileChange);
  if (plan !== undefined) length += jsonLength(plan);
  return 300 + length * 2;
}

function jsonLength(value: unknown): number {
  return value === undefined ? 0 : JSON.stringify(value).length;
}

/**
 * Returns the bytes that an event counts for in a queue with a limit. A whole item may be larger than the limit and has to pass all the same;
 * deltas count in full, because they merge and would grow without bound.
 */
export function waitingBytes(event: NewSessionEvent): number {
  const bytes = eventBytes(event);
  return event.type === 'item.delta' ? bytes : Math.min(bytes, LARGE);
}
