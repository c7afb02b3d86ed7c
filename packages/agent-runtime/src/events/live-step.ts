import type { Item } from '@codelab/protocol';

/** An item that a model is streaming. Its text is kept in pieces, so that a reader copies only what is new to it. */
export interface LiveItem {
  /** Without its text. */
  readonly item: Item;
  readonly pieces: readonly string[];
  /** In UTF-16 code units. */
  readonly length: number;
  /** True once its text is complete. */
  readonly isSealed: boolean;
}

/** An answer of a model while it is being streamed: nothing of it is stored yet. */
export interface LiveStep {
  /** Part of the ids of its items. */
  readonly id: string;
  readonly items: readonly LiveItem[];
  /** Begins an item. Returns its number. */
  open(kind: Item['kind'], fields: { name?: string }): number;
  add(index: number, text: string): void;
  seal(index: number): void;
  /** Returns an item with its text so far. */
  itemOf(index: number): Item;
}

export interface LiveStepOptions {
  id: string;
  runId: string;
  /** The number of the step in its run, from 1. */
  step: number;
  onChange(): void;
}

/** Returns the id of the `index`th item of a step. That of a call is the call's. */
export function liveItemId(stepId: string, index: number, isCall: boolean): string {
  return `${isCall ? 'call' : 'item'}_${stepId}.${index}`;
}

interface Writing {
  item: Item;
  pieces: string[];
  length: number;
  isSealed: boolean;
}

export function createLiveStep({ id, runId, step, onChange }: LiveStepOptions): LiveStep {
  const items: Writing[] = [];
  return {
    id,
    items,
    open(kind, { name }) {
      const isCall = kind === 'tool_call';
      const itemId = liveItemId(id, items.length, isCall);
      items.push({
        item: {
          itemId,
          runId,
          step,
          kind,
          text: '',
          status: 'in_progress',
          createdAt: new Date(),
          ...(isCall ? { toolCall: { callId: itemId, name: name ?? '' } } : {}),
        },
        pieces: [],
        length: 0,
        isSealed: false,
      });
      onChange();
      return items.length - 1;
    },
    add(index, text) {
      const writing = items[index];
      if (writing === undefined || text === '') return;
      writing.pieces.push(text);
      writing.length += text.length;
      onChange();
    },
    seal(index) {
      const writing = items[index];
      if (writing !== undefined) writing.isSealed = true;
    },
    itemOf: (index) => toItem(items[index] as Writing),
  };
}

function toItem({ item, pieces }: LiveItem): Item {
  return { ...item, text: pieces.join('') };
}
