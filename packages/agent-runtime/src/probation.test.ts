import { expect, it } from 'vitest';
import { createDeferred } from './deferred.ts';
import { createProbation } from './probation.ts';

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

it('suspects go on one at a time, once the others have got on', async () => {
  const { begun, run } = play();
  const innocent = run('innocent', 1);
  const [first, second, third] = [run('first', 2), run('second', 5), run('third', 3)];
  await innocent.turn;
  expect(begun).toEqual(['innocent']);
  innocent.getsOn();
  await first.turn;
  expect(begun).toEqual(['innocent', 'first']);
  first.getsOn();
  await second.turn;
  second.getsOn();
  await third.turn;
  expect(begun).toEqual(['innocent', 'first', 'second', 'third']);
});

it('one that does not get on holds the others up for a time only', async () => {
  const { begun, run } = play(10);
  run('stuck', 2);
  await run('next', 2).turn;
  expect(begun).toEqual(['stuck', 'next']);
});

it('one that is stopped waits no longer', async () => {
  const { run } = play();
  await run('innocent', 0).turn;
  const waiting = run('waiting', 2);
  waiting.abort();
  expect(await Promise.race([waiting.turn.then(() => 'over'), never])).toBe('over');
});
