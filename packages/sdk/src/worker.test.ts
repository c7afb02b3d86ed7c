import { CodelabError } from '@codelab/protocol';
import { expect, it } from 'vitest';
import type { Connection } from './connection.ts';
import type { Approval, TrackedSessionEvent } from './types.ts';
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
