import { CodelabError } from '@codelab/protocol';
import { expect, it } from 'vitest';
import type { Connection } from './connection.ts';
import { type Tool, tool } from './tools.ts';
import type { Approval, FileChange, TrackedSessionEvent } from './types.ts';
import { type ApprovalHandler, createWorker, type Decision } from './worker.ts';

const approval = { callId: 'c1', runId: 'run1', name: 'write_file' } as Approval;
const refusal = new CodelabError('VALIDATION', 'The arguments do not fit.');

/** A session that asks about one call. Resolves once `handler` is not asked any more, with what was decided. */
async function ask(handler: ApprovalHandler, refusals: Array<CodelabError | undefined>) {
  const sent: Decision[] = [];
  const errors: unknown[] = [];
  let over = () => {};
  const settled = new Promise<void>((resolve) => {
    over = resolve;
  });
  const trpc = {
    approval: {
      decide: {
        async mutate({ sessionId: _, callId: __, ...decision }: Decision & Record<string, unknown>) {
          sent.push(decision as Decision);
          const error = refusals.length === 0 ? refusal : refusals.shift();
          if (error !== undefined) throw error;
          over();
        },
      },
    },
  };
  const connection = {
    call: (run: (client: typeof trpc, options: object) => unknown) => run(trpc, {}),
    async *watch() {
      yield { type: 'approval.requested', approval, seq: 1, ts: 0, id: 'e-1' } as TrackedSessionEvent;
      await new Promise(() => {});
    },
  } as unknown as Connection;
  const worker = createWorker({
    connection,
    sessionId: 's1',
    clientId: 'me',
    tools: {},
    announced: Promise.resolve(),
    onError: (error) => {
      errors.push(error);
      over();
    },
  });
  worker.onApproval(handler);
  await settled;
  worker.stop();
  return { sent, errors };
}

it('asks again, with the reason, where a decision was refused', async () => {
  const seen: Array<CodelabError | undefined> = [];
  const { sent, errors } = await ask(
    (_request, { previous }) => {
      seen.push(previous);
      return previous === undefined ? { decision: 'edit', arguments: { nonsense: 1 } } : { decision: 'allow' };
    },
    [refusal, undefined],
  );
  expect(seen).toEqual([undefined, refusal]);
  expect(sent).toEqual([{ decision: 'edit', arguments: { nonsense: 1 } }, { decision: 'allow' }]);
  expect(errors).toEqual([]);
});

it.each<[string, ApprovalHandler, number]>([
  ['the same decision again', () => ({ decision: 'edit', arguments: {} }), 1],
  [
    'one that never fits',
    (() => {
      let times = 0;
      return () => ({ decision: 'edit' as const, arguments: { times: times++ } });
    })(),
    10,
  ],
])('gives up %s, and says so', async (_name, handler, times) => {
  const { sent, errors } = await ask(handler, []);
  expect(sent).toHaveLength(times);
  expect(errors).toEqual([refusal]);
});

it('does not ask again where the service is away, or the handler throws', async () => {
  const away = new CodelabError('OVERLOADED');
  expect(await ask(() => ({ decision: 'allow' }), [away])).toMatchObject({ sent: [{}], errors: [away] });
  const broken = new Error('no window');
  const thrown = await ask(() => {
    throw broken;
  }, []);
  expect(thrown).toEqual({ sent: [], errors: [broken] });
});

const foreseen: Approval = { ...approval, kind: 'write', target: 'client', preview: {} };
const change: FileChange = { path: 'a', change: 'create', hunks: [{ hunk: 0, header: '@@', lines: ['+a'] }] };

/** A session that asks about one call. Resolves with what a handler is told that it would change, and what was sent of that. */
async function changesOf({ asked = foreseen, preview, withinMs = 3_600_000, refusal }: Foreseeing) {
  const sent: FileChange[][] = [];
  const errors: unknown[] = [];
  let update = (_event: TrackedSessionEvent) => {};
  const updated = new Promise<TrackedSessionEvent>((resolve) => {
    update = resolve;
  });
  const eventOf = (changes: FileChange[]) =>
    ({ type: 'approval.updated', callId: 'c1', changes, seq: 2, ts: 0, id: 'e-2' }) as TrackedSessionEvent;
  const trpc = {
    approval: {
      preview: {
        async mutate({ changes }: { changes: FileChange[] }) {
          sent.push(changes);
          if (refusal === undefined) update(eventOf(changes));
          else throw new CodelabError(refusal);
          return { status: 'accepted', replayed: false };
        },
      },
    },
  };
  const connection = {
    call: (run: (client: typeof trpc, options: object) => unknown) => run(trpc, {}),
    async *watch() {
      yield { type: 'approval.requested', approval: asked, seq: 1, ts: 0, id: 'e-1' } as TrackedSessionEvent;
      yield await updated;
      await new Promise(() => {});
    },
  } as unknown as Connection;
  const tools: Record<string, Tool> =
    preview === undefined
      ? {}
      : {
          write_file: tool({
            description: '',
            input: { type: 'object' },
            execute: () => {},
            ...(preview === 'none' ? {} : { preview }),
          }),
        };
  const worker = createWorker({
    connection,
    sessionId: 's1',
    clientId: 'me',
    tools,
    announced: Promise.resolve(),
    onError: (error) => void errors.push(error),
  });
  const told = new Promise<FileChange[] | undefined>((resolve, reject) => {
    worker.onApproval(async (_, { changes }) => void changes(withinMs).then(resolve, reject));
  });
  const changes = await told;
  worker.stop();
  return { changes, sent, errors };
}

interface Foreseeing {
  asked?: Approval;
  /** Of the tool that this client has; `none`: it has no preview. */
  preview?: (() => FileChange[] | undefined) | 'none';
  withinMs?: number;
  refusal?: 'NOT_FOUND' | 'FORBIDDEN' | 'VALIDATION' | 'APPROVAL_ALREADY_RESOLVED';
}

it('a handler gets what its own client foresees, once the service has it', async () => {
  expect(await changesOf({ preview: () => [change] })).toEqual({ changes: [change], sent: [[change]], errors: [] });
});

it.each<[string, Foreseeing]>([
  ['the tool says nothing', { preview: () => undefined }],
  ['the tool says that there are none', { preview: () => [] }],
  [
    'the tool throws',
    {
      preview: () => {
        throw new Error('no such file');
      },
    },
  ],
  ['the tool has no preview', { preview: 'none' }],
  ['the service takes none', { asked: { ...foreseen, preview: undefined }, preview: () => [change] }],
  ['nobody has a preview of commands', { asked: { ...foreseen, kind: 'execute' } }],
  ['another client has the tool, and says nothing in time', { withinMs: 0 }],
])('a handler does not wait where %s', async (_name, given) => {
  expect(await changesOf(given)).toEqual({ changes: undefined, sent: [], errors: [] });
});

it('a preview that is not wanted is no error, and one that is wrong is', async () => {
  const preview = () => [change];
  for (const refusal of ['APPROVAL_ALREADY_RESOLVED', 'NOT_FOUND'] as const)
    expect(await changesOf({ preview, refusal })).toMatchObject({ changes: undefined, errors: [] });
  expect(await changesOf({ preview, refusal: 'FORBIDDEN', withinMs: 0 })).toMatchObject({ errors: [] });
  expect(await changesOf({ preview, refusal: 'VALIDATION' })).toMatchObject({ errors: [{ code: 'VALIDATION' }] });
});

it('leaves out hunks for which there is no room, and says so', async () => {
  const [large, fits] = [200, 100].map((kib): FileChange => {
    return { ...change, hunks: [{ hunk: 0, header: '@@', lines: [`+${'x'.repeat(kib * 1024)}`] }] };
  });
  const changes = [large, large, fits, change] as FileChange[];
  const omitted = { ...change, hunks: [], omitted: 'too_large' };
  const { sent } = await changesOf({ preview: () => changes });
  expect(sent).toEqual([[large, omitted, omitted, change]]);
});
