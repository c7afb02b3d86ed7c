import {
  CodelabError,
  type FileChange,
  type Item,
  noUsage,
  type Session,
  type ToolKind,
  type ToolSpec,
} from '@codelab/protocol';
import { describe, expect, it } from 'vitest';
import type { ModelStep } from '../model/accumulate-step.ts';
import type { StoredInput } from '../store/store.ts';
import { mergeAnnounced } from '../tools/announced-tools.ts';
import type { PreparedCall } from '../tools/tool-call.ts';
import type { Tool } from '../tools/tool-registry.ts';
import type { Decision, Env, Presence } from './draft.ts';
import { asksRules, decide, type Input } from './session-machine.ts';
import { openRequests, type SessionState, toShownState } from './state.ts';

const NOW = Date.UTC(2026, 0, 1);
const agents: Env['agents'] = {
  find: (name) => ({ name, description: '', prompt: '', rules: [] }),
  get: (name) => ({ name, description: '', prompt: '', rules: [] }),
};

/** A session that inputs happen to. Ids count up, and time stands still. */
function createTable() {
  let ids = 0;
  const session: Session = {
    sessionId: 's1',
    title: 'A title',
    agent: 'coder',
    model: 'default',
    project: '',
    metadata: {},
    createdAt: new Date(NOW),
    updatedAt: new Date(NOW),
  };
  const stored = { number: 1, session, createdFingerprint: '', tools: [], seq: 0, eventBytes: 0 };
  let state: SessionState = { stored, position: 0, lastInput: 0, queue: [], run: undefined };
  const env: Env = {
    now: NOW,
    newId: (prefix) => `${prefix}_${++ids}`,
    agents,
    rules: [],
    isDraining: false,
    presence: (clientId) => presence.get(clientId) ?? 'here',
    settings: { model: 'm', maxSteps: 3, toolTimeoutMs: 1_000, clientTimeoutMs: 2_000 },
  };
  const presence = new Map<string, Presence>();
  const table = {
    env,
    presence,
    /** Has clients announce the tool `a`, the last one last. */
    announce: (...clientIds: string[]) =>
      clientIds.reduce(
        (_, clientId) =>
          table.apply({ type: 'announce', tools: mergeAnnounced(state.stored.tools, clientId, [toolSpec]) }),
        undefined as Decision | undefined,
      ) as Decision,
    /** Has clients come and go. */
    become(changes: Record<string, Presence>) {
      for (const [clientId, is] of Object.entries(changes)) presence.set(clientId, is);
      return table.apply({ type: 'presence' });
    },
    get state() {
      return state;
    },
    set state(next) {
      state = next;
    },
    get runId() {
      return state.run?.run.runId ?? 'none';
    },
    /** Decides on an input, and makes what it comes to the state. */
    apply(input: Input): Decision {
      const decision = decide(state, input as Input & { type: 'next' }, env);
      state = decision.next;
      return decision;
    },
    send(inputId: string, whenBusy: StoredInput['whenBusy'] = 'queue') {
      return table.apply({ type: 'send', input: toInput(inputId, whenBusy, state.lastInput + 1) });
    },
    endStep(step: Partial<ModelStep>, prepared: PreparedCall[] = [], isAborted = false) {
      return table.apply({
        type: 'endStep',
        runId: table.runId,
        step: (state.run?.run.steps ?? 0) + 1,
        answer: { ...answer, ...step },
        prepared,
        isAborted,
      });
    },
    /** Has the model make these calls. */
    call(...calls: Call[]) {
      return table.endStep(
        { items: calls.map(({ id, name }) => toCallItem(id, name ?? id)), finishReason: 'tool_calls' },
        calls.map(toPrepared),
      );
    },
  };
  return table;
}
const toolSpec: ToolSpec = { name: 'a', description: '', kind: 'write', inputSchema: { type: 'object' } };
type Table = ReturnType<typeof createTable>;

function toInput(inputId: string, whenBusy: StoredInput['whenBusy'], position: number): StoredInput {
  const input = { sessionId: 's1', inputId, content: inputId, status: 'queued' as const, createdAt: new Date(NOW) };
  return { input, position, whenBusy, sentFingerprint: '', requestId: 'req', eventId: '' };
}

const answer: ModelStep = {
  model: 'm',
  usage: noUsage,
  costUsd: undefined,
  finishReason: 'stop',
  error: undefined,
  items: [],
  thinking: [],
};

function toItem(itemId: string, fields: Partial<Item>): Item {
  return {
    itemId,
    runId: 'run_1',
    step: 1,
    kind: 'assistant_message',
    text: itemId,
    status: 'completed',
    createdAt: new Date(NOW),
    ...fields,
  };
}

function toCallItem(itemId: string, name: string): Item {
  return toItem(itemId, {
    kind: 'tool_call',
    text: '{}',
    status: 'in_progress',
    toolCall: { callId: itemId, name } as never,
  });
}

interface Call {
  id: string;
  name?: string;
  kind?: ToolKind;
  target?: 'client' | 'server' | 'mcp';
  is?: 'ready' | 'awaiting_approval' | 'settled';
  /** Whether its client may say what it would change. */
  preview?: boolean;
}

function toPrepared({
  id,
  name = id,
  kind = 'write',
  target = 'client',
  is = 'ready',
  preview = true,
}: Call): PreparedCall {
  const tool = {
    name,
    description: '',
    kind,
    target,
    clientId: 'ide',
    inputSchema: { type: 'object' },
  } as never as Tool;
  const approval = {
    callId: id,
    runId: 'run_1',
    name,
    arguments: {},
    kind,
    target,
    reason: 'it asks',
    options: [{ scope: 'once' as const }],
    ...(preview ? { preview: {} } : {}),
    createdAt: new Date(NOW),
    deadline: new Date(NOW + 1_000),
  };
  return {
    callId: id,
    tool,
    args: {},
    end: is === 'settled' ? { outcome: 'denied', text: 'A rule denies it.' } : undefined,
    approval: is === 'awaiting_approval' ? approval : undefined,
  };
}

const types = ({ events }: Decision) => events.map(({ type }) => type);
const calls = ({ state }: Table) => (state.run?.calls ?? []).map(({ callId, is }) => `${callId} ${is}`);
const ends = ({ events }: Decision) => events.flatMap((event) => (event.type === 'run.finished' ? event.status : []));
/** What a refused input is refused with. */
const refusal = (act: () => unknown): string => {
  try {
    act();
    return 'none';
  } catch (error) {
    return error instanceof CodelabError ? error.code : String(error);
  }
};

describe('the session', () => {
  const idle = () => createTable();
  const running = () => {
    const table = createTable();
    table.send('first');
    return table;
  };
  const waiting = () => {
    const table = running();
    table.call({ id: 'a', is: 'awaiting_approval' });
    return table;
  };
  const executing = () => {
    const table = running();
    table.call({ id: 'a' });
    return table;
  };

  it.each<[string, () => Table, (table: Table) => Decision, string, number, string[]]>([
    [
      'idle, a message',
      idle,
      (t) => t.send('in'),
      'running',
      0,
      ['input.accepted', 'session.state', 'input.delivered', 'run.started', 'item.completed', 'step.started'],
    ],
    ['running, a message', running, (t) => t.send('in'), 'running', 1, ['input.accepted', 'session.state']],
    ['running, a steer', running, (t) => t.send('in', 'steer'), 'running', 1, ['input.accepted', 'session.state']],
    [
      'running, an interrupt',
      running,
      (t) => t.send('in', 'interrupt'),
      'running',
      1,
      ['input.accepted', 'session.state'],
    ],
    [
      'waiting, an interrupt',
      waiting,
      (t) => t.send('in', 'interrupt'),
      'running',
      0,
      [
        'input.accepted',
        'approval.resolved',
        'tool.finished',
        'item.completed',
        'run.finished',
        'session.state',
        'input.delivered',
        'run.started',
        'item.completed',
        'step.started',
      ],
    ],
    ['running, a stop', running, (t) => t.apply({ type: 'stop', runId: t.runId }), 'running', 0, []],
    [
      'executing, a stop',
      executing,
      (t) => t.apply({ type: 'stop', runId: t.runId }),
      'idle',
      0,
      ['tool.finished', 'item.completed', 'run.finished', 'session.state'],
    ],
    [
      'waiting, a stop',
      waiting,
      (t) => t.apply({ type: 'stop', runId: t.runId }),
      'idle',
      0,
      ['approval.resolved', 'tool.finished', 'item.completed', 'run.finished', 'session.state'],
    ],
    ['running, a stop of another run', running, (t) => t.apply({ type: 'stop', runId: 'run_9' }), 'running', 0, []],
    ['idle, the queue goes on', idle, (t) => t.apply({ type: 'next' }), 'idle', 0, []],
  ])('%s', (_name, given, when, state, queued, events) => {
    const table = given();
    const decision = when(table);
    expect(types(decision)).toEqual(events);
    expect(toShownState(table.state)).toMatchObject({ state, queued });
  });

  it('begins no run while the service stops, and begins it afterwards', () => {
    const table = idle();
    table.env.isDraining = true;
    expect(types(table.send('in'))).toEqual(['input.accepted', 'session.state']);
    table.env.isDraining = false;
    expect(types(table.apply({ type: 'next' }))).toContain('run.started');
  });

  it('is not changed by a decision: it makes the next one', () => {
    const table = running();
    const before = structuredClone(table.state);
    decide(table.state, { type: 'stop', runId: table.runId }, table.env);
    decide(table.state, { type: 'send', input: toInput('in', 'interrupt', 2) }, table.env);
    expect(table.state).toEqual(before);
  });

  it('is used by a message, and named by its first one', () => {
    const table = createTable();
    const { stored } = table.state;
    table.state = { ...table.state, stored: { ...stored, session: { ...stored.session, title: '' } } };
    table.env.now += 5;
    const first = table.send('first');
    expect(first.events[1]).toMatchObject({ type: 'session.updated', session: { title: 'first' } });
    const second = table.send('second');
    expect(types(second)).not.toContain('session.updated');
    expect(second.rows).toContainEqual(['sessionUsed', 's1', NOW + 5]);
    expect(table.state.stored.session).toMatchObject({ title: 'first', updatedAt: new Date(NOW + 5) });
  });

  it('takes back what waits, and nothing else', () => {
    const table = running();
    table.send('second');
    expect(types(table.apply({ type: 'cancelInput', inputId: 'first' }))).toEqual([]);
    expect(types(table.apply({ type: 'cancelInput', inputId: 'second' }))).toEqual([
      'input.cancelled',
      'session.state',
    ]);
    expect(table.state.queue).toEqual([]);
  });
});

describe('the run', () => {
  const running = (...inputs: Array<[string, StoredInput['whenBusy']]>) => {
    const table = createTable();
    table.send('first');
    for (const [inputId, whenBusy] of inputs) table.send(inputId, whenBusy);
    return table;
  };
  const said = { items: [toItem('said', {})] };
  const broken = {
    finishReason: undefined,
    error: { code: 'PROVIDER_AUTH' as const, message: 'no', retryable: false, requestId: 'r' },
  };

  it.each<[string, Partial<ModelStep>, boolean, string[]]>([
    ['an answer', { ...said }, false, ['completed']],
    ['an answer that is cut off by its length', { ...said, finishReason: 'length' }, false, ['limit']],
    ['an answer that is filtered', { ...said, finishReason: 'content_filter' }, false, ['failed']],
    ['a provider that fails', broken, false, ['failed']],
    ['an answer that was stopped', { ...said, finishReason: undefined }, true, ['cancelled']],
    ['a stop that came after the answer', { ...said }, true, ['completed']],
    ['a stop that broke the answer', broken, true, ['cancelled']],
    ['calls, and a stop', { items: [toCallItem('a', 'a')], finishReason: 'tool_calls' }, true, ['cancelled']],
    ['calls', { items: [toCallItem('a', 'a')], finishReason: 'tool_calls' }, false, []],
  ])('%s ends it so', (_name, step, isAborted, expected) => {
    const table = running();
    const decision = table.endStep(step, [toPrepared({ id: 'a' })], isAborted);
    expect(ends(decision)).toEqual(expected);
    expect(table.state.run === undefined).toBe(expected.length > 0);
  });

  it('ends once, in the commit of its last step', () => {
    const table = running();
    const decision = table.endStep(said);
    expect(types(decision)).toEqual(['item.completed', 'step.finished', 'run.finished', 'session.state']);
    expect(decision.rows.map(([statement]) => statement)).toEqual(['step', 'item', 'run']);
    expect(types(table.endStep(said))).toEqual([]);
  });

  it('takes in what is sent for it before its next step, and goes on for that alone', () => {
    const table = running(['steer', 'steer']);
    expect(types(table.endStep(said))).toEqual([
      'item.completed',
      'step.finished',
      'input.delivered',
      'item.completed',
      'session.state',
      'step.started',
    ]);
    expect(table.state.queue).toEqual([]);
  });

  it('is followed by the next of the queue, in one commit', () => {
    const table = running(['second', 'queue'], ['third', 'queue']);
    const decision = table.endStep(said);
    expect(types(decision).filter((type) => type.startsWith('run.'))).toEqual(['run.finished', 'run.started']);
    expect(table.state.run?.run.inputId).toBe('second');
    expect(table.state.queue.map(({ input }) => input.inputId)).toEqual(['third']);
  });

  it('ends at its limit of steps', () => {
    const table = running();
    for (const id of ['a', 'b', 'c']) {
      table.call({ id, name: id });
      if (id === 'c') break;
      table.apply({ type: 'finishCall', callId: id, end: { outcome: 'succeeded', text: '' } });
    }
    const last = table.apply({ type: 'finishCall', callId: 'c', end: { outcome: 'succeeded', text: '' } });
    expect(ends(last)).toEqual(['limit']);
  });

  it('refuses the same call from the fourth time on, and ends at the seventh', () => {
    const table = running();
    table.env.settings = { ...table.env.settings, maxSteps: 100 };
    const outcomes: string[] = [];
    for (let time = 1; time <= 7; time++) {
      const decision = table.endStep({ items: [toCallItem(`c${time}`, 'look')], finishReason: 'tool_calls' }, [
        toPrepared({ id: `c${time}`, name: 'look' }),
      ]);
      const [end] = ends(decision);
      const [call] = calls(table);
      outcomes.push(end ?? (call === undefined ? 'refused' : 'made'));
      if (call !== undefined)
        table.apply({ type: 'finishCall', callId: `c${time}`, end: { outcome: 'succeeded', text: '' } });
    }
    expect(outcomes).toEqual(['made', 'made', 'made', 'refused', 'refused', 'refused', 'limit']);
  });

  it('that was loaded is held until its turn, and goes on with what it had', () => {
    const table = running();
    table.call({ id: 'a' });
    table.state = { ...table.state, run: { ...(table.state.run as never as object), isHeld: true } as never };
    table.apply({ type: 'resume', runId: table.runId, countsAttempt: true });
    expect(table.state.run).toMatchObject({ isHeld: false, attempts: 1 });
    expect(calls(table)).toEqual(['a executing']);
  });

  it('that a process has ended under six times is given up', () => {
    const table = running();
    for (let time = 1; time <= 6; time++) {
      table.state = { ...table.state, run: { ...(table.state.run as never as object), isHeld: true } as never };
      const decision = table.apply({ type: 'resume', runId: table.runId, countsAttempt: true });
      expect(ends(decision)).toEqual(time === 6 ? ['failed'] : []);
    }
  });

  it.each<[string, (runId: string) => Input]>([
    ['an answer', (runId) => ({ type: 'endStep', runId, step: 1, answer, prepared: [], isAborted: false })],
    ['a retry', (runId) => ({ type: 'retryStep', runId, discarded: ['x'], notice: '' })],
    ['a failure', (runId) => ({ type: 'fail', runId, error: new CodelabError('INTERNAL') })],
    ['a resume', (runId) => ({ type: 'resume', runId, countsAttempt: true })],
    ['a stop', (runId) => ({ type: 'stop', runId })],
    ['usage', (runId) => ({ type: 'spend', runId, step: -1, model: 'm', usage: noUsage, costUsd: undefined })],
  ])('is over: %s of it comes to nothing', (_name, input) => {
    const table = running();
    const { runId } = table;
    table.endStep(said);
    table.send('next');
    const { events, rows } = table.apply(input(runId));
    expect([events, rows]).toEqual([[], []]);
  });
});

describe('a call', () => {
  const with_ = (...made: Call[]) => {
    const table = createTable();
    table.send('first');
    table.call(...made);
    return table;
  };
  const decision = (how: 'allow' | 'edit' | 'reject', extra: object = {}): Input =>
    ({ type: 'decide', callId: 'a', decision: how, by: 'user', decisionJson: '{}', ...extra }) as Input;
  const result: Input = { type: 'finishCall', callId: 'a', end: { outcome: 'succeeded', text: 'ok' }, isClient: true };
  const late: Input = { type: 'finishCall', callId: 'a', end: { outcome: 'timed_out', text: 'late' } };
  const expire: Input = { type: 'expire', callId: 'a' };
  const yes = { decision: 'allow' as const, by: 'user', decisionJson: '{}' };
  const no = { decision: 'reject' as const, by: 'user', decisionJson: '{}', feedback: 'too wide' };
  const made = { ...result, decision: yes } as Input;
  const refused = { ...result, end: { outcome: 'failed', text: 'too wide' }, decision: no } as Input;
  const awaiting = () => with_({ id: 'a', is: 'awaiting_approval' });
  const change: FileChange = { path: 'x', change: 'create', hunks: [] };
  const preview = (extra: object = {}) =>
    ({ type: 'preview', callId: 'a', clientId: 'ide', changes: [change], ...extra }) as Input;
  const previewed = () => {
    const table = awaiting();
    table.apply(preview());
    return table;
  };
  const executing = () => with_({ id: 'a' });
  /** Waits behind one that is executing. */
  const ready = () => with_({ id: 'b' }, { id: 'a' });

  // The state it is in, what happens, the state it is in then (`-`: it has its result), and what is told of it.
  it.each<[string, () => Table, Input, string[], string[]]>([
    [
      'awaiting approval, allowed',
      awaiting,
      decision('allow'),
      ['a executing'],
      ['approval.resolved', 'tool.requested', 'session.state'],
    ],
    [
      'awaiting approval, edited',
      awaiting,
      decision('edit', { args: { x: 1 } }),
      ['a executing'],
      ['approval.resolved', 'tool.requested', 'session.state'],
    ],
    [
      'awaiting approval, rejected',
      awaiting,
      decision('reject'),
      [],
      ['approval.resolved', 'tool.finished', 'item.completed', 'session.state', 'step.started'],
    ],
    [
      'awaiting approval, its time is over',
      awaiting,
      expire,
      [],
      ['approval.resolved', 'tool.finished', 'item.completed', 'session.state', 'step.started'],
    ],
    [
      'awaiting approval, a result that decides',
      awaiting,
      made,
      [],
      ['approval.resolved', 'tool.finished', 'item.completed', 'session.state', 'step.started'],
    ],
    [
      'awaiting approval, an error that decides',
      awaiting,
      refused,
      [],
      ['approval.resolved', 'tool.finished', 'item.completed', 'session.state', 'step.started'],
    ],
    ['awaiting approval, a preview', awaiting, preview(), ['a awaiting_approval'], ['approval.updated']],
    ['awaiting approval, the same preview again', previewed, preview(), ['a awaiting_approval'], []],
    [
      'awaiting approval, another preview',
      previewed,
      preview({ changes: [change, change] }),
      ['a awaiting_approval'],
      ['approval.updated'],
    ],
    [
      'awaiting approval with a preview, allowed',
      previewed,
      decision('allow'),
      ['a executing'],
      ['approval.resolved', 'tool.requested', 'session.state'],
    ],
    ['executing, a result that would decide', executing, made, [], ['tool.finished', 'item.completed', 'step.started']],
    ['executing, a result', executing, result, [], ['tool.finished', 'item.completed', 'step.started']],
    ['executing, its time is over', executing, late, [], ['tool.finished', 'item.completed', 'step.started']],
    ['executing, its approval would be over', executing, expire, ['a executing'], []],
    ['ready, its time would be over', ready, late, ['b executing', 'a ready'], []],
  ])('%s', (_name, given, input, expected, events) => {
    const table = given();
    const happened = table.apply(input);
    expect(calls(table)).toEqual(expected);
    expect(types(happened)).toEqual(events);
  });

  it.each<[string, () => Table, Input, string]>([
    ['awaiting approval, a result', awaiting, result, 'VALIDATION'],
    ['of a server tool, a result that decides', () => with_({ id: 'a', target: 'server' }), made, 'VALIDATION'],
    ['executing, a decision', executing, decision('allow'), 'APPROVAL_ALREADY_RESOLVED'],
    ['executing, a preview', executing, preview(), 'APPROVAL_ALREADY_RESOLVED'],
    ['unknown, a preview', awaiting, preview({ callId: 'zz' }), 'APPROVAL_ALREADY_RESOLVED'],
    ['awaiting approval, a preview of another client', awaiting, preview({ clientId: 'other' }), 'FORBIDDEN'],
    [
      'awaiting approval, a preview of a client that another has followed',
      () => {
        const table = awaiting();
        table.announce('ide', 'other');
        return table;
      },
      preview(),
      'FORBIDDEN',
    ],
    [
      'of a tool whose changes are known, a preview',
      () => with_({ id: 'a', is: 'awaiting_approval', preview: false }),
      preview(),
      'VALIDATION',
    ],
    ['unknown, a decision', executing, { ...decision('allow'), callId: 'zz' } as Input, 'APPROVAL_ALREADY_RESOLVED'],
    ['unknown, a result', executing, { ...result, callId: 'zz' } as Input, 'TOOL_CALL_FINISHED'],
    ['of a server tool, a result from outside', () => with_({ id: 'a', target: 'server' }), result, 'VALIDATION'],
  ])('%s, is refused', (_name, given, input, code) => {
    const table = given();
    const before = table.state;
    expect(refusal(() => table.apply(input))).toBe(code);
    expect(table.state).toBe(before);
  });

  it.each<[string, Input, { outcome: string; result: string; by: string }]>([
    ['its result, and is not made again', made, { outcome: 'succeeded', result: 'ok', by: 'user' }],
    [
      'the reason of a no',
      refused,
      {
        outcome: 'rejected',
        result: 'The person rejected this call: it was not made. They say: too wide',
        by: 'user',
      },
    ],
  ])('that is decided by its result has, in one commit, %s', (_name, input, { by, ...expected }) => {
    const table = awaiting();
    const { rows, events } = table.apply(input);
    const items = rows.flatMap((row) => (row[0] === 'item' && row[2].item.itemId === 'a' ? [row[2].item] : []));
    expect(items.at(-1)?.toolCall).toMatchObject({ ...expected, decision: { by } });
    expect(rows.some((row) => row[0] === 'approval' && !row[1].pending)).toBe(true);
    expect(events.some(({ type }) => type === 'tool.requested')).toBe(false);
  });

  it('that waits is stored with its preview, and announced with it', () => {
    const table = awaiting();
    const { rows } = table.apply(preview());
    expect(rows).toMatchObject([['approval', { pending: true, approval: { callId: 'a', changes: [change] } }]]);
    expect(openRequests(table.state)).toMatchObject([{ type: 'approval.requested', approval: { changes: [change] } }]);
  });

  it('goes to the client that is left, which may say what it changes', () => {
    const table = awaiting();
    table.announce('ide', 'other');
    table.become({ other: 'gone' });
    expect(types(table.apply(preview()))).toEqual(['approval.updated']);
  });

  it('that is decided by its result is denied where a rule has come meanwhile', () => {
    const table = awaiting();
    table.env.rules = [{ tool: 'a', resource: '**', effect: 'deny' }];
    expect(table.apply(made).events).toContainEqual({ type: 'tool.finished', callId: 'a', outcome: 'denied' });
  });

  it('reads side by side, the rest one after the other', () => {
    const table = with_(
      { id: 'r1', kind: 'read' },
      { id: 'r2', kind: 'read' },
      { id: 'w1', kind: 'write' },
      { id: 'w2', kind: 'write' },
      { id: 'r3', kind: 'read' },
    );
    expect(calls(table)).toEqual(['r1 executing', 'r2 executing', 'w1 executing', 'w2 ready', 'r3 executing']);
    table.apply({ type: 'finishCall', callId: 'w1', end: { outcome: 'succeeded', text: '' } });
    expect(calls(table)).toEqual(['r1 executing', 'r2 executing', 'w2 executing', 'r3 executing']);
  });

  it('is settled at once where it is not made, beside those that are', () => {
    const table = createTable();
    table.send('first');
    const happened = table.call({ id: 'a', is: 'settled' }, { id: 'b' });
    expect(calls(table)).toEqual(['b executing']);
    expect(happened.events).toContainEqual({ type: 'tool.finished', callId: 'a', outcome: 'denied' });
  });

  it('that waits is allowed by a new rule', () => {
    const table = with_({ id: 'a', is: 'awaiting_approval' });
    const rule = {
      ruleId: 'r',
      tool: 'a',
      resource: '**',
      effect: 'allow' as const,
      scope: 'session' as const,
      createdAt: new Date(NOW),
    };
    table.apply({ type: 'addRule', rule });
    expect(calls(table)).toEqual(['a executing']);
  });

  it('is not made where a rule denies it by the time of its turn', () => {
    const table = with_({ id: 'b' }, { id: 'a' });
    table.env.rules = [{ tool: 'a', resource: '**', effect: 'deny' }];
    const happened = table.apply({ type: 'finishCall', callId: 'b', end: { outcome: 'succeeded', text: '' } });
    expect(happened.events).toContainEqual({ type: 'tool.finished', callId: 'a', outcome: 'denied' });
    expect(calls(table)).toEqual([]);
  });

  it('is offered to the client that came, with its whole time, where the one before has gone', () => {
    const table = with_({ id: 'a' });
    table.presence.set('ide', 'gone');
    table.env.now += 500;
    const happened = table.announce('other');
    expect(happened.events).toEqual([
      expect.objectContaining({ type: 'tool.requested', clientId: 'other', deadline: NOW + 1_500 }),
    ]);
  });

  it('is stored as begun before an MCP server gets it, so that it is not made twice', () => {
    const table = createTable();
    table.send('first');
    const { rows } = table.call({ id: 'a', target: 'mcp', kind: 'execute' });
    const items = rows.flatMap((row) => (row[0] === 'item' ? [row[2]] : []));
    expect(items.at(-1)?.modelOnly).toEqual({ isStarted: true });
  });
});

describe("a client's call", () => {
  const given = (presence: Record<string, Presence>, ...announced: string[]) => {
    const table = createTable();
    for (const [clientId, is] of Object.entries(presence)) table.presence.set(clientId, is);
    table.announce(...announced);
    table.send('first');
    return { table, happened: table.call({ id: 'a' }) };
  };
  const takers = ({ events }: Decision) =>
    events.flatMap((event) => (event.type === 'tool.requested' ? [event.clientId] : []));
  const notices = ({ events }: Decision) =>
    events.filter((event) => event.type === 'item.completed' && event.item.kind === 'notice').length;

  it.each<[string, Record<string, Presence>, string[]]>([
    ['the newest', { one: 'here', two: 'here' }, ['two']],
    ['the newest that is here', { one: 'here', two: 'gone' }, ['one']],
    ['one that is here before one that may come back', { one: 'here', two: 'away' }, ['one']],
    ['one that may come back', { one: 'away', two: 'gone' }, ['one']],
    ['nobody', { one: 'gone', two: 'gone' }, []],
  ])('goes to %s', (_name, presence, expected) => {
    expect(takers(given(presence, 'one', 'two').happened)).toEqual(expected);
  });

  it.each<[string, Record<string, Presence>, Record<string, Presence>, string[], string[]]>([
    ['its client is cut off for a moment', { one: 'here', two: 'here' }, { two: 'away' }, [], ['a executing']],
    ['its client is gone', { one: 'here', two: 'here' }, { two: 'gone' }, ['one'], ['a executing']],
    ['another is gone', { one: 'here', two: 'here' }, { one: 'gone' }, [], ['a executing']],
    ['a newer one comes', { one: 'here', two: 'gone' }, { two: 'here' }, [], ['a executing']],
    ['all are gone', { one: 'here', two: 'here' }, { one: 'gone', two: 'gone' }, [], ['a ready']],
    ['nobody had it, and one comes', { one: 'gone', two: 'gone' }, { one: 'here' }, ['one'], ['a executing']],
  ])('%s', (_name, presence, changes, expected, states) => {
    const { table } = given(presence, 'one', 'two');
    expect(takers(table.become(changes))).toEqual(expected);
    expect(calls(table)).toEqual(states);
  });

  it('stays with its client when another one announces the tool', () => {
    const { table } = given({ one: 'here', two: 'here' }, 'one');
    expect(takers(table.announce('two'))).toEqual([]);
  });

  it('without anybody is said once to wait, and fails when its time is over', () => {
    const { table, happened } = given({ one: 'gone' }, 'one');
    expect(notices(happened)).toBe(1);
    expect(toShownState(table.state).state).toBe('waiting');
    expect(notices(table.become({}))).toBe(0);
    expect(table.state.run?.calls[0]).toMatchObject({ unattendedUntil: NOW + 2_000 });
    const ended = table.apply({ type: 'giveUp', callId: 'a' });
    expect(types(ended)).toEqual(['tool.finished', 'item.completed', 'session.state', 'step.started']);
    expect(ended.events[1]).toMatchObject({
      item: { toolCall: { outcome: 'failed', result: expect.stringContaining('was not made') } },
    });
  });

  it('that was begun by a client that is gone is not said to be unmade', () => {
    const { table } = given({ one: 'here' }, 'one');
    expect(notices(table.become({ one: 'gone' }))).toBe(1);
    const ended = table.apply({ type: 'giveUp', callId: 'a' });
    expect(ended.events[1]).toMatchObject({ item: { toolCall: { result: expect.stringContaining('not known') } } });
  });

  it('that somebody came for is not given up', () => {
    const { table } = given({ one: 'gone' }, 'one');
    table.become({ one: 'here' });
    expect(types(table.apply({ type: 'giveUp', callId: 'a' }))).toEqual([]);
  });

  it('stores who has it, so that after a restart no other one gets it', () => {
    const { table } = given({ one: 'here', two: 'gone' }, 'one', 'two');
    // As it is loaded: all may come back.
    const loaded = table.state.run?.calls.map(({ callId, name, args, stored, tool }) => ({
      ...{ callId, name, args, stored, tool },
      is: 'ready',
    }));
    table.state = { ...table.state, run: { ...table.state.run, calls: loaded, isHeld: true } as never };
    table.presence.set('one', 'away').set('two', 'away');
    expect(takers(table.apply({ type: 'resume', runId: table.runId, countsAttempt: true }))).toEqual(['one']);
  });
});

it('an approval of a call that cannot be made any more is told to be over, and so is the call', () => {
  const table = createTable();
  table.send('first');
  table.call({ id: 'a', is: 'awaiting_approval' });
  // As it is loaded where its tool has gone meanwhile.
  const calls = (table.state.run?.calls ?? []).map((call) => ({
    ...call,
    is: 'settled',
    tool: undefined,
    end: { outcome: 'failed', text: 'There is no such tool.' },
  }));
  table.state = { ...table.state, run: { ...(table.state.run as never as object), calls, isHeld: true } as never };
  const happened = table.apply({ type: 'resume', runId: table.runId, countsAttempt: false });
  expect(types(happened).slice(0, 3)).toEqual(['approval.resolved', 'tool.finished', 'item.completed']);
  expect(happened.events[0]).toMatchObject({ callId: 'a', decision: 'cancelled', by: 'service' });
});

it.each<[string, (table: Table) => Input, boolean]>([
  ['a step with calls', ({ runId }) => toStepEnd(runId, [toPrepared({ id: 'b' })]), true],
  ['a step without', ({ runId }) => toStepEnd(runId, []), false],
  ['a result', () => ({ type: 'finishCall', callId: 'a', end: { outcome: 'succeeded', text: '' } }), false],
  ['a stop', ({ runId }) => ({ type: 'stop', runId }), false],
])('without open calls, %s asks the rules: %s', (_name, input, expected) => {
  const table = createTable();
  table.send('first');
  expect(asksRules(table.state, input(table))).toBe(expected);
});

it.each<[string, (table: Table) => Input, boolean]>([
  ['a result', () => ({ type: 'finishCall', callId: 'a', end: { outcome: 'succeeded', text: '' } }), true],
  ['a resume', ({ runId }) => ({ type: 'resume', runId, countsAttempt: true }), true],
  ['a stop', ({ runId }) => ({ type: 'stop', runId }), false],
  ['a failure', ({ runId }) => ({ type: 'fail', runId, error: new CodelabError('INTERNAL') }), false],
])('with open calls, %s asks the rules: %s', (_name, input, expected) => {
  const table = createTable();
  table.send('first');
  table.call({ id: 'a' }, { id: 'b' });
  expect(asksRules(table.state, input(table))).toBe(expected);
});

function toStepEnd(runId: string, prepared: PreparedCall[]): Input {
  return { type: 'endStep', runId, step: 1, answer, prepared, isAborted: false };
}
