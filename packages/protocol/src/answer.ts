import type { NewSessionEvent } from './event.ts';

/** Follows the answer to one input through the mended events of its session. */
export interface Answer {
  /** Returns true for an event of the run that answers, whose last is `run.finished`, or `input.cancelled` where no run got the input. */
  push(event: NewSessionEvent): boolean;
  /** The run that answers: set by `input.delivered`, or by who knows it earlier. */
  runId: string | undefined;
  /** Returns everything said so far that has not been taken back. */
  text(): string;
}

export function createAnswer(inputId: string): Answer {
  /** The items of the run, in their order. Only messages say something. */
  const items = new Map<string, { isSaid: boolean; text: string }>();
  /** The calls of the run. */
  const calls = new Set<string>();
  const answer: Answer = {
    runId: undefined,
    push(event) {
      switch (event.type) {
        case 'input.cancelled':
          return event.inputId === inputId;
        case 'input.delivered':
          if (event.inputId !== inputId) return false;
          answer.runId = event.runId;
          return true;
        case 'item.started':
        case 'item.completed': {
          const { itemId, kind, text, runId } = event.item;
          if (runId !== answer.runId) return false;
          if (kind === 'tool_call') calls.add(itemId);
          items.set(itemId, {
            isSaid: kind === 'assistant_message',
            text: event.type === 'item.completed' ? text : '',
          });
          return true;
        }
        case 'item.delta': {
          const item = items.get(event.itemId);
          if (item?.isSaid) item.text += event.text;
          return item !== undefined;
        }
        case 'item.discarded':
          return items.delete(event.itemId);
        case 'approval.requested': {
          const { callId, runId } = event.approval;
          if (runId !== answer.runId) return false;
          calls.add(callId);
          return true;
        }
        case 'approval.updated':
        case 'approval.resolved':
        case 'tool.progress':
        case 'tool.finished':
          return calls.has(event.callId);
        case 'tool.requested':
          if (event.runId !== answer.runId) return false;
          calls.add(event.callId);
          return true;
        // A session has one run at a time.
        case 'agent.switched':
          return answer.runId !== undefined;
        case 'run.started':
        case 'run.finished':
        case 'step.started':
        case 'step.finished':
        case 'session.state':
          return answer.runId !== undefined && event.runId === answer.runId;
        default:
          return false;
      }
    },
    text: () => [...items.values()].map(({ isSaid, text }) => (isSaid ? text : '')).join(''),
  };
  return answer;
}

/** Streams the answer of one run, of whose mended events it is made, to a reader that can't take anything back. */
export interface AnswerStream {
  /** Returns what is to be shown next; '' where that was shown already. */
  push(event: NewSessionEvent): string;
  /** True once what was shown is not how the answer begins: nothing more is shown. */
  readonly isReplaced: boolean;
  /** Says that the answer is whole: true where that is what was shown. */
  isWhole(): boolean;
}

interface Said {
  itemId: string;
  length: number;
  /** The hash of the answer up to this item. */
  hash: number;
  isDiscarded: boolean;
}

/**
 * An answer that is said again after `item.discarded` is compared with what was shown by hashes, 64 code units at a time: keeping the
 * text would cost each reader the whole answer.
 */
export function createAnswerStream(): AnswerStream {
  /** The hash of what was shown after each block, and at its end. */
  const blocks: number[] = [];
  let shownLength = 0;
  let shownHash = FIRST_HASH;
  /** The answer as it is now: how long, and its hash. */
  let length = 0;
  let hash = FIRST_HASH;
  let said: Said[] = [];
  let isReplaced = false;

  const show = (text: string): string => {
    let fresh = 0;
    for (; fresh < text.length && length < shownLength; fresh++) {
      hash = nextHash(hash, text.charCodeAt(fresh));
      length++;
      const isKnown =
        length === shownLength ? hash === shownHash : length % BLOCK !== 0 || hash === blocks[length / BLOCK - 1];
      if (!isKnown) {
        isReplaced = true;
        return '';
      }
    }
    for (let i = fresh; i < text.length; i++) {
      hash = nextHash(hash, text.charCodeAt(i));
      length++;
      if (length % BLOCK === 0) blocks.push(hash);
    }
    if (length > shownLength) {
      shownLength = length;
      shownHash = hash;
    }
    return fresh === 0 ? text : text.slice(fresh);
  };

  const begin = (itemId: string): Said => {
    const known = said.find((each) => each.itemId === itemId);
    if (known !== undefined) return known;
    const begun = { itemId, length: 0, hash, isDiscarded: false };
    said.push(begun);
    return begun;
  };

  const add = (itemId: string, text: string): string => {
    const last = said.at(-1);
    // What comes after a part that was taken back can't be shown: nor what comes out of turn.
    if (last?.itemId !== itemId || said.some(({ isDiscarded }) => isDiscarded)) {
      isReplaced ||= text !== '';
      return '';
    }
    last.length += text.length;
    return show(text);
  };

  const discard = (itemId: string): void => {
    const found = said.find((each) => each.itemId === itemId);
    if (found === undefined) return;
    found.isDiscarded = true;
    for (let last = said.at(-1); last?.isDiscarded; last = said.at(-1)) {
      said = said.slice(0, -1);
      length -= last.length;
      hash = last.hash;
    }
  };

  return {
    push(event) {
      if (isReplaced) return '';
      switch (event.type) {
        case 'item.started':
          if (event.item.kind === 'assistant_message') begin(event.item.itemId);
          return '';
        case 'item.delta':
          return said.some(({ itemId }) => itemId === event.itemId) ? add(event.itemId, event.text) : '';
        case 'item.completed': {
          const { itemId, text, kind } = event.item;
          if (kind !== 'assistant_message') return '';
          const { length: known } = begin(itemId);
          return text.length > known ? add(itemId, text.slice(known)) : '';
        }
        case 'item.discarded':
          discard(event.itemId);
          return '';
        default:
          return '';
      }
    },
    get isReplaced() {
      return isReplaced;
    },
    isWhole: () => !isReplaced && length === shownLength && !said.some(({ isDiscarded }) => isDiscarded),
  };
}

const BLOCK = 64;
const FIRST_HASH = 0x811c9dc5;

/** FNV-1a over UTF-16 code units. */
function nextHash(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, 0x01000193);
}
