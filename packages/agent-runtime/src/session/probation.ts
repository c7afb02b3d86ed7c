import { createDeferred } from '../lib/deferred.ts';
import { withTimeout } from '../lib/with-timeout.ts';

/** A run that the process ended under so often, without getting on in between, is a suspect. */
const SUSPECT_AT = 2;
/** A suspect that has come so far goes on alone. */
const ALONE_AT = 4;
/** How long one that does not get on holds up the suspects behind it, from when it began. */
const HEAD_START_MS = 3_000;

/**
 * Keeps the runs apart that may have brought the process down, so that its next end speaks against few of them, and at last against one
 * alone. Suspects go on once all that went on before them have got on: one, then two, then four and so on; the worst last, one at a time.
 */
export interface Probation {
  /** Resolves when the run may go on, or `aborted` does. `gotOn` resolves once it has. */
  turn(resumes: number, gotOn: Promise<void>, aborted: Promise<unknown>): Promise<void>;
}

interface Suspect {
  resumes: number;
  gotOn: Promise<void>;
  goOn(): void;
}

export function createProbation(headStartMs = HEAD_START_MS): Probation {
  const under = new Set<Promise<void>>();
  const waiting = new Set<Suspect>();
  let size = 1;
  let isWorking = false;

  const begin = (gotOn: Promise<void>) => {
    const passed = withTimeout(headStartMs, gotOn);
    under.add(passed);
    void passed.then(() => under.delete(passed));
  };
  const nextRound = (): Suspect[] => {
    const all = [...waiting].sort((a, b) => a.resumes - b.resumes);
    const together = all.filter(({ resumes }) => resumes < ALONE_AT).slice(0, size);
    return together.length > 0 ? together : all.slice(0, 1);
  };
  const work = async () => {
    isWorking = true;
    while (waiting.size > 0) {
      await Promise.all(under);
      for (const suspect of nextRound()) {
        waiting.delete(suspect);
        begin(suspect.gotOn);
        suspect.goOn();
      }
      size *= 2;
    }
    isWorking = false;
  };

  return {
    async turn(resumes, gotOn, aborted) {
      if (resumes < SUSPECT_AT) return begin(gotOn);
      const turn = createDeferred<void>();
      const suspect = { resumes, gotOn, goOn: () => turn.resolve() };
      waiting.add(suspect);
      if (!isWorking) void work();
      await Promise.race([turn.promise, aborted]);
      waiting.delete(suspect);
    },
  };
}
