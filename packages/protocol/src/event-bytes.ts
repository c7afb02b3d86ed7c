import type { NewSessionEvent } from './event.ts';

const LARGE = 1024 * 1024;

/** About how much memory an event takes. */
export function eventBytes(event: NewSessionEvent): number {
  switch (event.type) {
    case 'item.delta':
      return 150 + event.text.length * 2;
    case 'item.started':
    case 'item.completed':
      return 300 + event.item.text.length * 2;
    case 'input.accepted':
      return 300 + event.input.content.length * 2;
    case 'stream.reset':
      return event.items.reduce((sum, { text }) => sum + 200 + text.length * 2, 300);
    default:
      return 300;
  }
}

/**
 * What an event counts for in a queue with a limit. A whole item may be larger than the limit and has to pass all the same;
 * deltas count in full, because they merge and would grow without bound.
 */
export function waitingBytes(event: NewSessionEvent): number {
  const bytes = eventBytes(event);
  return event.type === 'item.delta' ? bytes : Math.min(bytes, LARGE);
}
