import { type Attachment, BoundedMap, CodelabError, type Input as Message } from '@codelab/protocol';
import { fingerprint } from '@codelab/service-kit';
import { withTimeout } from '../lib/with-timeout.ts';
import { isSameResult } from '../machine/session-machine.ts';
import type { StoredInput, StoredSession } from '../store/store.ts';
import { announcersOf, mergeAnnounced } from '../tools/announced-tools.ts';
import { rejection, toText } from '../tools/tool-call.ts';
import { ANSWER_MS, createSessionActor, type SessionActor } from './actor.ts';
import { checkDecision, checkPreview, checkRule, toResultDecision } from './approvals.ts';
import type { LiveSession, SessionDeps } from './session-types.ts';

/** Requests that are remembered: they are sent again within seconds. */
const MAX_CANCELLED = 100;

/** Loads a session, and takes what its callers want of it. */
export async function createLiveSession(found: StoredSession, deps: SessionDeps): Promise<LiveSession> {
  const { store, agents, registry } = deps;
  const { sessionId } = found.session;
  const actor = await createSessionActor(found, deps);
  const { cursors, effects, events } = actor;
  const command: SessionActor['command'] = (work) => actor.command(work);
  const perform: SessionActor['perform'] = (input, until) => actor.perform(input, until);
  const run = () => actor.state.run;
  /** Runs that were cancelled without being named, by the request that did it. */
  const cancelled = new BoundedMap<string, string>(MAX_CANCELLED);

  return {
    get session() {
      return actor.state.stored.session;
    },
    log: events,
    get isIdle() {
      return run() === undefined && actor.state.queue.length === 0 && actor.isCertain;
    },

    update: ({ title, model, effort, metadata }) =>
      command((until) =>
        perform(
          {
            type: 'update',
            changes: {
              ...(title === undefined ? {} : { title }),
              ...(model === undefined ? {} : { model }),
              ...(effort === undefined ? {} : { effort }),
              ...(metadata === undefined ? {} : { metadata }),
            },
          },
          until,
        ),
      ),

    came: actor.presence.came,

    async announce({ clientId, tools }) {
      // Nothing else waits for that: it may take its time.
      await registry.check(tools);
      return command(async (until) => {
        await actor.settled();
        const announced = mergeAnnounced(actor.state.stored.tools, clientId, tools);
        actor.presence.heard(clientId);
        await perform({ type: 'announce', tools: announced }, until);
        return { tools: tools.length };
      });
    },

    tools() {
      const announced = actor.state.stored.tools;
      const isHere = (clientId: string) => actor.presence.of(clientId) === 'here';
      const { tools, ...rest } = registry.list(announced);
      const shown = tools.map((tool) => {
        if (tool.target !== 'client') return tool;
        const clients = announcersOf(announced.find(({ name }) => name === tool.name));
        return { ...tool, connected: clients.some(isHere) };
      });
      return { ...rest, tools: shown };
    },

    switchAgent: async (name, reason) => {
      const { name: to } = agents.get(name);
      return command((until) => perform({ type: 'switchAgent', to, reason }, until));
    },

    send: (message, requestId) => command((until) => send(actor, deps, { message, requestId, until })),

    async cursorOf(inputId, signal) {
      // What is being sent comes first.
      await actor.idle();
      const known = cursors.recent(inputId) ?? (await store.input(sessionId, inputId))?.eventId;
      return known ?? cursors.wait(inputId, signal);
    },

    cancelInput: (inputId) =>
      command(async (until) => {
        await actor.settled();
        if (actor.state.queue.some(({ input }) => input.inputId === inputId))
          return perform({ type: 'cancelInput', inputId }, until);
        const input = (await store.input(sessionId, inputId))?.input;
        if (input === undefined)
          throw new CodelabError('NOT_FOUND', `There is no input "${inputId}" in the session "${sessionId}".`);
        if (input.status === 'delivered')
          throw new CodelabError('INPUT_ALREADY_DELIVERED', undefined, { details: { runId: input.runId } });
        return { status: 'cancelled' };
      }),

    async cancelRun(named, requestId) {
      const runId = named ?? cancelled.get(requestId);
      // What is being begun is stopped as well.
      if (run() === undefined) {
        effects.stop(runId);
        await withTimeout(ANSWER_MS, actor.idle());
      }
      const active = run()?.run.runId;
      if (active !== undefined && (runId === undefined || runId === active)) {
        cancelled.set(requestId, active);
        await stop(actor, active);
        return { status: 'cancelling' };
      }
      if (runId !== undefined && (await store.run(sessionId, runId)) === undefined)
        throw new CodelabError('NOT_FOUND', `There is no run "${runId}" in the session "${sessionId}".`);
      return { status: 'already_finished' };
    },

    toolResult: ({ callId, result, error, decides }) =>
      command(async (until) => {
        const end =
          error === undefined
            ? { outcome: 'succeeded' as const, text: toText(result) }
            : { outcome: 'failed' as const, text: error };
        const decision = decides ? toResultDecision(error) : undefined;
        await actor.settled();
        if (run()?.calls.some((call) => call.callId === callId) === true) {
          await perform({ type: 'finishCall', callId, end, isClient: true, decision }, until);
          effects.gotOn();
          return { status: 'accepted', replayed: false };
        }
        const item = (await store.item(sessionId, callId))?.item;
        if (item?.toolCall === undefined)
          throw new CodelabError('NOT_FOUND', `There is no tool call "${callId}" in the session "${sessionId}".`);
        if (isSameResult(item, end) || (decision !== undefined && isSameResult(item, rejection(decision))))
          return { status: 'accepted', replayed: true };
        throw new CodelabError(
          'TOOL_CALL_FINISHED',
          `The tool call "${callId}" ended before: ${item.toolCall.outcome ?? 'its run is over'}.`,
        );
      }),

    toolProgress({ callId, message, fraction }) {
      const call = run()?.calls.find((each) => each.callId === callId);
      if (call?.is !== 'executing' || call.tool.target !== 'client')
        throw new CodelabError(
          'NOT_FOUND',
          `There is no open tool call "${callId}" of the IDE's in the session "${sessionId}".`,
        );
      effects.execution(callId)?.extend();
      if (call.request.clientId !== undefined) actor.presence.heard(call.request.clientId);
      events.showProgress({ type: 'tool.progress', callId, message, ...(fraction === undefined ? {} : { fraction }) });
      return { status: 'accepted' };
    },

    decide: (decision) =>
      command(async (until) => {
        await actor.settled();
        const checked = await checkDecision(actor.state, decision, { deps, rules: () => actor.rules() });
        if (checked === undefined) return { status: 'resolved', replayed: true };
        await perform({ type: 'decide', ...checked }, until);
        return { status: 'resolved', replayed: false };
      }),

    preview: (preview) =>
      command(async (until) => {
        await actor.settled();
        const checked = await checkPreview(actor.state, preview, deps);
        actor.presence.heard(preview.clientId);
        return perform({ type: 'preview', ...checked }, until);
      }),

    approvals: async () =>
      (run()?.calls ?? []).flatMap((call) => (call.is === 'awaiting_approval' ? [call.approval] : [])),

    rules: () => actor.rules(),

    addRule: (added) =>
      command(async (until) =>
        perform({ type: 'addRule', rule: checkRule(actor.state.stored.session, added, await actor.rules()) }, until),
      ),

    deleteRule: (ruleId) =>
      command(async () => {
        if (!(await actor.rules()).some((rule) => rule.ruleId === ruleId)) return { deleted: false };
        await store.commit([store.statements.deleteRule(ruleId, sessionId, actor.state.stored.session.project)]);
        return { deleted: true };
      }),

    items: actor.history.page,

    resume: async () => effects.reconcile(),

    async end() {
      await command((until) => perform({ type: 'cancelQueue' }, until));
      actor.close();
      const active = run()?.run.runId;
      if (active !== undefined) {
        await stop(actor, active);
        await effects.over();
      }
      await actor.idle();
      actor.leave();
    },

    suspend: () => actor.suspend(),
  };
}

/** Stops a run at once. Resolves when that is stored. Throws `OVERLOADED` where it takes longer than 4 s: it is on its way then. */
async function stop(actor: SessionActor, runId: string): Promise<void> {
  actor.effects.stop(runId);
  const stored = actor.submit({ type: 'stop', runId });
  stored.catch(() => {});
  const answered = await withTimeout(
    ANSWER_MS,
    stored.then(() => true),
  );
  if (answered === true) return;
  throw new CodelabError(
    'OVERLOADED',
    'The database cannot be written now: the stop is on its way. Sending the same again is safe.',
    { retryAfterMs: 1000 },
  );
}

interface Sending {
  message: Parameters<LiveSession['send']>[0];
  requestId: string;
  until: number;
}

/** Within a command: takes a message, or answers as it was answered before. */
async function send(
  actor: SessionActor,
  { store, agents }: SessionDeps,
  { message, requestId, until }: Sending,
): ReturnType<LiveSession['send']> {
  const { sessionId, inputId, content, model, effort, agent, attachments: files, whenBusy } = message;
  const sentWith = fingerprint([content, model, agent, files, ...(effort === undefined ? [] : [effort])]);
  await actor.settled();
  const before = await store.input(sessionId, inputId);
  if (before !== undefined) {
    if (before.sentFingerprint !== sentWith)
      throw new CodelabError('IDEMPOTENCY_MISMATCH', `The input "${inputId}" was sent before, with another content.`);
    const { status, runId } = before.input;
    return { inputId, status, replayed: true, eventId: before.eventId, ...(runId === undefined ? {} : { runId }) };
  }
  if (agent !== undefined) agents.get(agent);
  if (actor.state.run !== undefined && whenBusy === 'reject')
    throw new CodelabError('SESSION_BUSY', undefined, { retryAfterMs: 1000 });
  const eventId = actor.events.positionAt(actor.events.lastSeq);
  const hasFiles = files !== undefined && files.length > 0;
  // In order of arrival; one that interrupts comes before all that wait.
  const position = Math.max(actor.state.lastInput + 1, Date.now() * 1000);
  const input: StoredInput = {
    input: {
      inputId,
      sessionId,
      content,
      ...(hasFiles ? { attachments: files.map(toAttachmentInfo) } : {}),
      ...(model === undefined ? {} : { model }),
      ...(effort === undefined ? {} : { effort }),
      status: 'queued',
      createdAt: new Date(),
    },
    position: whenBusy === 'interrupt' ? -position : position,
    whenBusy,
    ...(agent === undefined ? {} : { agent }),
    ...(hasFiles ? { attachments: files } : {}),
    sentFingerprint: sentWith,
    requestId,
    eventId,
  };
  return { ...(await actor.perform({ type: 'send', input }, until)), eventId };
}

function toAttachmentInfo({ name, mimeType, data, text }: Attachment): NonNullable<Message['attachments']>[number] {
  const bytes = data === undefined ? Buffer.byteLength(text ?? '') : Math.floor((data.length * 3) / 4);
  return { name, mimeType, bytes };
}
