import { expect, it, vi } from 'vitest';
import { createDeferred } from '../lib/deferred.ts';
import { createProbation } from './probation.ts';

/** All that can happen without a timer has. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = new Promise<void>(() => {});

/** Begins runs by how often the process ended under them; `begun` lists those that went on. */
function play(headStartMs?: number) {
  const probation = createProbation(headStartMs);
  const begun: string[] = [];
  return {
    begun,
    run(name: string, resumes: number) {
      const gotOn = createDeferred<void>();
      const abort = createDeferred<void>();
      const turn = probation.turn(resumes, gotOn.promise, abort.promise).then(() => void begun.push(name));
      return { getsOn: () => gotOn.resolve(), abort: () => abort.resolve(), turn };
    },
  };
}

it('those that are no suspects go on at once', async () => {
  const { begun, run } = play();
  await Promise.all([run('a', 0).turn, run('b', 1).turn, run('c', 0).turn]);
  expect(begun).toEqual(['a', 'b', 'c']);
});

it('suspects go on once the others have got on: one, then two, then four', async () => {
  const { begun, run } = play();
  const innocent = run('innocent', 1);
  await innocent.turn;
  const [first, ...others] = ['a', 'b', 'c', 'd', 'e'].map((name) => run(name, 2));
  await settled();
  expect(begun).toEqual(['innocent']);
  innocent.getsOn();
  await settled();
  expect(begun).toEqual(['innocent', 'a']);
  first?.getsOn();
  await settled();
  expect(begun).toEqual(['innocent', 'a', 'b', 'c']);
  for (const other of others.slice(0, 2)) other.getsOn();
  await settled();
  expect(begun).toEqual(['innocent', 'a', 'b', 'c', 'd', 'e']);
});

it('the worst go on last, and each alone, so that the end of the process speaks against one', async () => {
  const { begun, run } = play();
  const worst = [run('worst', 5), run('bad', 4), run('worse', 4)];
  const suspects = [run('a', 2), run('b', 3)];
  await settled();
  expect(begun).toEqual(['a']);
  suspects[0]?.getsOn();
  await settled();
  suspects[1]?.getsOn();
  await settled();
  expect(begun).toEqual(['a', 'b', 'bad']);
  worst[1]?.getsOn();
  await settled();
  expect(begun).toEqual(['a', 'b', 'bad', 'worse']);
  worst[2]?.getsOn();
  await settled();
  expect(begun).toEqual(['a', 'b', 'bad', 'worse', 'worst']);
});

it('one that does not get on holds the others up for a time only', async () => {
  const { begun, run } = play(10);
  run('stuck', 2);
  await run('next', 2).turn;
  expect(begun).toEqual(['stuck', 'next']);
});

it('the time is counted from when each began: those that do not get on hold nobody up one after the other', async () => {
  vi.useFakeTimers();
  try {
    const { begun, run } = play(300);
    await Promise.all(['a', 'b', 'c'].map((name) => run(name, 0).turn));
    await vi.advanceTimersByTimeAsync(250);
    run('suspect', 2);
    await vi.advanceTimersByTimeAsync(40);
    expect(begun).toEqual(['a', 'b', 'c']);
    await vi.advanceTimersByTimeAsync(20);
    expect(begun).toEqual(['a', 'b', 'c', 'suspect']);
  } finally {
    vi.useRealTimers();
  }
});

it('one that is stopped waits no longer', async () => {
  const { run } = play();
  await run('innocent', 0).turn;
  const waiting = run('waiting', 2);
  waiting.abort();
  expect(await Promise.race([waiting.turn.then(() => 'over'), never])).toBe('over');
});
