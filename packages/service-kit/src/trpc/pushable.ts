import { transformer } from '@codelab/protocol';

/** Names the method by which a subscription's source pushes. */
const PUSH = Symbol('push');

/** Takes the messages of one subscription, each as the text that tRPC's wire has behind the message's id. */
export interface MessageSink {
  send(tail: string): void;
  /** True while so much waits that the source should wait too. */
  readonly isFull: boolean;
  /** Resolves when the reader can take more. Rejects, and the reader is cut off, if it takes nothing for 30 s. */
  drained(): Promise<void>;
}

/** Sends all that a subscription has. Resolves at its end, rejects when it fails. */
export type Push = (sink: MessageSink) => Promise<void>;

/**
 * The source of a subscription that can be read in two ways: pulled, as tRPC does for server-sent events, and pushed, which takes no promise
 * for a message. Only one of them is used.
 */
export interface Pushable<T> extends AsyncIterable<T, void> {
  readonly [PUSH]: Push;
}

export function pushable<T>(pull: () => AsyncIterator<T, void>, push: Push): Pushable<T> {
  return { [Symbol.asyncIterator]: pull, [PUSH]: push };
}

/** Returns how a source pushes; undefined for one that can only be pulled. */
export function pushOf(source: object): Push | undefined {
  return (source as Partial<Pushable<unknown>>)[PUSH];
}

const RESULT = '"result":{"type":"data",';

/** Returns a message of a subscription without its id: `event` with the position to go on from. Format: https://trpc.io/docs/rpc */
export function toTail(id: string, event: unknown): string {
  const data = transformer.serialize({ id, data: event });
  return `${RESULT}"id":${JSON.stringify(id)},"data":${JSON.stringify(data)}}}`;
}

/** Returns a message of a subscription that has no positions. */
export function toUntrackedTail(value: unknown): string {
  return `${RESULT}"data":${JSON.stringify(transformer.serialize(value))}}}`;
}

/** True for the part behind the id of a message that brings data. */
export function bringsData(tail: string, at = 0): boolean {
  return tail.startsWith(RESULT, at);
}

/** Reads back what `toTail` wrote. */
export function parseTail<T>(tail: string): { id: string; data: T } {
  return transformer.deserialize(JSON.parse(`{${tail}`).result.data);
}
