import { addUsage, type Item, type ItemKind, newId, type Run } from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import type { Agent } from './agents.ts';
import type { View } from './context.ts';
import type { RunSession, SessionDeps } from './session-types.ts';
import type { StoredItem } from './store/store.ts';

/** What the parts of a run share. */
export interface RunContext {
  readonly run: Run;
  readonly session: RunSession;
  readonly deps: SessionDeps;
  readonly requestId: string;
  readonly log: Logger;
  /** Aborts when the run is stopped, for whatever reason. */
  readonly signal: AbortSignal;
  /** Resolves then. */
  readonly aborted: Promise<undefined>;
  /** The conversation as the model sees it. */
  view: View;
  /** Says that something came of it: it is not what brings the process down. */
  gotOn(): void;
  agentNow(): Agent;
  modelNow(): string;
  /** Says that a call waits, or begins, or is over. While the service stops, a run that only waits for a person is left as it is stored. */
  callsChanged(): void;
}

/** A whole item of the run, at the end of the history. */
export function newItem({ run, session }: RunContext, kind: ItemKind, fields: Partial<Item> = {}): StoredItem {
  const item: Item = {
    itemId: newId('item'),
    runId: run.runId,
    step: 0,
    kind,
    text: '',
    status: 'completed',
    createdAt: new Date(),
    ...fields,
  };
  return { position: session.nextPosition(), item };
}

export function showItem({ session }: RunContext, { item }: StoredItem): void {
  session.emit({ type: 'item.started', item: { ...item, text: '', status: 'in_progress' } });
  session.emit({ type: 'item.completed', item: { ...item } });
}

export function addToRun({ run }: RunContext, usage: Run['usage'], costUsd: number | undefined): void {
  run.usage = addUsage(run.usage, usage);
  if (costUsd !== undefined) run.costUsd = (run.costUsd ?? 0) + costUsd;
}
