import type { ProviderCall } from '../support/fake-provider.ts';

/** Numbers that the same seed gives again. mulberry32. */
export function createRandom(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (low: number, high: number) => low + Math.floor(next() * (high - low + 1)),
    isOneOf: (share: number) => next() < share,
    pick: <T>(all: readonly T[]): T => all[Math.floor(next() * all.length)] as T,
  };
}
export type Random = ReturnType<typeof createRandom>;

/** What a message lets the model do. The message itself says it, so that a step that is asked for again gets the same answer. */
export interface Plan {
  id: string;
  tokens: number;
  gapMs: number;
  tool: 'none' | 'look' | 'change';
}

export function toMessage({ id, tokens, gapMs, tool }: Plan): string {
  return `chaos ${id} ${tokens} ${gapMs} ${tool}`;
}

function toPlan(message: string): Plan | undefined {
  const [, id = '', tokens, gapMs, tool] = /^chaos (\S+) (\d+) (\d+) (\w+)$/.exec(message) ?? [];
  return tokens === undefined
    ? undefined
    : { id, tokens: Number(tokens), gapMs: Number(gapMs), tool: tool as Plan['tool'] };
}

const OPENING = 'Let me see. ';
const wordsOf = ({ id, tokens }: Plan) => Array.from({ length: tokens }, (_, n) => `${id}·${n} `);

/** What the history must hold once the message is answered: what each step says. */
export function answerOf(plan: Plan): string[] {
  const words = wordsOf(plan).join('');
  return plan.tool === 'none' ? [words] : [OPENING, words];
}

/** A model that does what the message says. */
export async function playModel(call: ProviderCall, pause: (ms: number) => Promise<void>): Promise<void> {
  const messages: Array<{ role: string; content: string }> = call.body.messages;
  const asked = messages.findLastIndex(({ role }) => role === 'user');
  const plan = toPlan(messages[asked]?.content ?? '');
  if (plan === undefined) throw new Error(`no plan: ${messages[asked]?.content}`);
  const isFirst = !messages.slice(asked).some(({ role }) => role === 'tool');
  let isGone = false;
  call.aborted.then(() => {
    isGone = true;
  });
  if (plan.tool !== 'none' && isFirst) {
    await call.text(OPENING);
    await call.tools({ name: plan.tool, args: { id: plan.id } });
    return call.finish('tool_calls');
  }
  for (const word of wordsOf(plan)) {
    await call.text(word);
    await pause(plan.gapMs);
    if (isGone) return;
  }
  await call.finish();
}
