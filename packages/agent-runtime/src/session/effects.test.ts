import { createLifecycle, createLogger } from '@codelab/service-kit';
import { expect, it } from 'vitest';
import type { Input } from '../machine/session-machine.ts';
import type { SessionState } from '../machine/state.ts';
import { createEffects } from './effects.ts';

const log = createLogger({ service: 'test', level: 'silent' });

function useEffects(run: object) {
  const submitted: Input[] = [];
  const state = { run: { run: { runId: 'r' }, calls: [], attempts: 4, ...run }, queue: [] } as unknown as SessionState;
  const effects = createEffects({
    sessionId: 's',
    log,
    host: {
      get state() {
        return state;
      },
      submit: async (input: Input) => void submitted.push(input),
    } as never,
    deps: {
      lifecycle: createLifecycle(),
      // Its turn never comes.
      probation: { turn: () => new Promise(() => {}) },
      settings: {},
    } as never,
    showProgress: () => {},
    onOnlyWaiting: () => {},
  });
  return { effects, submitted, state };
}

it('a run that may have brought the process down waits for its turn', () => {
  const { effects, submitted } = useEffects({ isHeld: true, isCancelled: false });
  effects.reconcile();
  expect(submitted).toEqual([]);
});

it('a run that is cancelled while it waits for its turn ends at once', () => {
  const { effects, submitted, state } = useEffects({ isHeld: true, isCancelled: false });
  effects.reconcile();
  Object.assign(state.run as object, { isCancelled: true });
  effects.reconcile();
  expect(submitted).toEqual([{ type: 'resume', runId: 'r', countsAttempt: false }]);
});
