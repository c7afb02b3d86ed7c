import type { Approval, SessionEvent } from '@codelab/protocol';
import { historyOf, readAnswer, untracked } from '@codelab/service-kit';
import { createDeferred } from '../lib/deferred.ts';
import type { createRouter } from './router.ts';

/** How often a caller hears that the answer is being worked on: well within the 60 s that most clients wait. */
const HEARTBEAT_MS = 10_000;

export type Caller = ReturnType<ReturnType<typeof createRouter>['createCaller']>;

export interface McpAnswerOptions {
  caller: Caller;
  sessionId: string;
  inputId: string;
  waitMs: number;
  signal: AbortSignal;
  /** Called with what is being done, where the caller wants to hear it. */
  onProgress?: ((message: string) => void) | undefined;
}

/**
 * Returns the answer to an input as a tool's result, or the part of it that is there when a person is asked, or after `waitMs`.
 * Throws `NOT_FOUND` at once where there is no such input, and the error of a run that failed.
 */
export async function readMcpAnswer({ caller, sessionId, inputId, waitMs, signal, onProgress }: McpAnswerOptions) {
  await caller.input.get({ sessionId, inputId });
  const deadline = AbortSignal.any([AbortSignal.timeout(waitMs), signal]);
  const late = new Promise<'late'>((resolve) => {
    if (deadline.aborted) resolve('late');
    deadline.addEventListener('abort', () => resolve('late'));
  });
  let asked = createDeferred<'asked'>();
  const events = untracked<SessionEvent>(await caller.session.events({ sessionId, from: 'start' }));
  const answer = readAnswer({
    events: watch(events, { onAsked: () => asked.resolve('asked'), onProgress }),
    history: historyOf(caller, sessionId),
    inputId,
  });
  const over = answer.finished.then(({ status }) => status);
  over.catch(() => {});
  const heartbeat =
    onProgress && setInterval(() => onProgress(`${answer.text().length} characters so far`), HEARTBEAT_MS);
  try {
    for (;;) {
      const first = await Promise.race([over, asked.promise, late]);
      if (first !== 'asked' && first !== 'late') return { status: first, answer: answer.text() };
      const { approvals } = await caller.approval.list({ sessionId });
      const said = { answer: answer.text(), input_id: inputId };
      if (approvals.length > 0) return { status: 'waiting_for_approval', ...said, ...toQuestion(approvals) };
      if (first === 'late') return { status: 'running', ...said };
      // It was decided on meanwhile.
      asked = createDeferred();
    }
  } finally {
    clearInterval(heartbeat);
    // A generator that waits can't be ended from outside: the caller's signal ends it with the request.
    void events.return?.(undefined).catch(() => {});
  }
}

function toQuestion(approvals: Approval[]) {
  return {
    approvals: approvals.map(({ callId, name, arguments: args, kind, reason, options }) => ({
      call_id: callId,
      name,
      arguments: args,
      kind,
      reason,
      scopes: options.map(({ scope }) => scope),
    })),
    next: 'Call decide for each call_id (allow or reject), then read_answer with the input_id.',
  };
}

interface Watcher {
  /** Called when a person is asked, or was before and is still. */
  onAsked(): void;
  onProgress: ((message: string) => void) | undefined;
}

/** Passes events on, and tells of those that matter while one waits. Those of the past do not. */
async function* watch(events: AsyncIterable<SessionEvent>, { onAsked, onProgress }: Watcher) {
  const open = new Set<string>();
  let isLive = false;
  for await (const event of events) {
    if (event.type === 'stream.synced') isLive = true;
    if (event.type === 'approval.requested') open.add(event.approval.callId);
    if (event.type === 'approval.resolved') open.delete(event.callId);
    if (isLive && open.size > 0) onAsked();
    const message = isLive ? toMessage(event) : undefined;
    if (message !== undefined) onProgress?.(message);
    yield event;
  }
}

function toMessage(event: SessionEvent): string | undefined {
  switch (event.type) {
    case 'run.started':
      return `${event.agent} is at work`;
    case 'tool.requested':
      return `${event.name} is called`;
    case 'tool.progress':
      return event.message;
    default:
      return undefined;
  }
}
