import { within } from './within.ts';

/** Runs that the process ended under so often, without getting on in between, are suspects. */
const SUSPECT_AT = 2;
/** How long others get to get on before a suspect begins. */
const HEAD_START_MS = 10_000;

/**
 * Keeps the runs apart that may have brought the process down: a suspect goes on once all that went on before it have got on, so that the
 * next end of the process speaks against that one alone.
 */
export interface Probation {
  /** Resolves when the run may go on, or `aborted` does. `gotOn` resolves once it has. */
  turn(resumes: number, gotOn: Promise<void>, aborted: Promise<unknown>): Promise<void>;
}

export function createProbation(headStartMs = HEAD_START_MS): Probation {
  const under = new Set<Promise<void>>();
  let last: Promise<unknown> = Promise.resolve();
  const begin = (gotOn: Promise<void>) => {
    under.add(gotOn);
    void gotOn.then(() => under.delete(gotOn));
  };
  return {
    async turn(resumes, gotOn, aborted) {
      if (resumes >= SUSPECT_AT) {
        const others = last.then(() => Promise.race([within(headStartMs, Promise.all(under)), aborted]));
        last = others.then(() => begin(gotOn));
        await Promise.race([last, aborted]);
      } else begin(gotOn);
    },
  };
}
