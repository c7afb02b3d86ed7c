import { toCodelabError } from '@codelab/service-kit';
import { Counter, Histogram, type Registry } from 'prom-client';

export interface GatewayMetrics {
  /** Measures a call of a procedure until its answer, and counts how it ended. Throws what `work` throws. */
  call<T>(procedure: string, work: () => Promise<T>): Promise<T>;
  /** Counts a message, as the call that sent it was answered. */
  message<T extends { replayed: boolean }>(work: () => Promise<T>): Promise<T>;
}

/** Adds the metrics of messages and calls, through whichever door they come. */
export function createGatewayMetrics(registry: Registry): GatewayMetrics {
  const messages = new Counter({
    name: 'messages_processed_total',
    help: 'Messages sent to sessions, by outcome: accepted, replayed (known before), or the code of the error',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const responses = new Histogram({
    name: 'response_time_seconds',
    help: 'Time until a call is answered, by procedure and outcome: ok, or the code of the error',
    labelNames: ['procedure', 'outcome'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return {
    async call(procedure, work) {
      const end = responses.startTimer({ procedure });
      return ended(work, (code) => end({ outcome: code ?? 'ok' }));
    },
    message: (work) =>
      ended(work, (code, sent) => messages.inc({ outcome: code ?? (sent?.replayed ? 'replayed' : 'accepted') })),
  };
}

/** Does `work`, and says with which error code it ended, or with what. */
async function ended<T>(work: () => Promise<T>, onEnd: (code: string | undefined, result?: T) => void): Promise<T> {
  try {
    const result = await work();
    onEnd(undefined, result);
    return result;
  } catch (error) {
    onEnd(toCodelabError(error).code);
    throw error;
  }
}
