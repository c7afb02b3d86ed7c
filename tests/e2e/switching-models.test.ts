import { afterEach, expect, it } from 'vitest';
import type { Session } from '../../packages/sdk/src/index.ts';
import { sayInAnthropic } from '../support/anthropic-answer.ts';
import { type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { type Stack, startStack } from '../support/stack.ts';

const cleanups: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Refuses thinking that another model has signed, as Anthropic does. */
async function answer(call: ProviderCall): Promise<void> {
  if (!call.path.endsWith('/messages')) {
    await call.text('ok');
    return call.finish();
  }
  const { model } = call.body;
  if (signaturesIn(call).some((signature) => signature !== `by ${model}`)) return refuse(call);
  return sayInAnthropic(call, { thinking: { text: 'Hm.', signature: `by ${model}` }, text: 'ok' });
}

function refuse(call: ProviderCall): void {
  const message = 'messages.1.content.0: Invalid `signature` in `thinking` block';
  call.json({ type: 'error', error: { type: 'invalid_request_error', message } }, 400);
}

function signaturesIn({ body }: ProviderCall): string[] {
  return body.messages.flatMap(({ content }: { content: Array<{ signature?: string }> }) =>
    content.flatMap(({ signature }) => signature ?? []),
  );
}

async function setUp(respond: (call: ProviderCall) => Promise<void> | void) {
  const provider = await startFakeProvider(respond);
  cleanups.push(() => provider.close());
  const variables = {
    LLM_PROXY__ANTHROPIC_BASE_URL: provider.url.replace('/v1', ''),
    LLM_PROXY__ANTHROPIC_API_KEY: 'sk-test',
  };
  const stack: Stack = await startStack({ providerUrl: provider.url, variables });
  cleanups.push(() => stack.close());
  const session: Session = await stack.client().sessions.create();
  return { provider, stack, session };
}

it('a session goes from model to model and back: each is given what it has signed itself', async () => {
  const { provider, stack, session } = await setUp(answer);
  const ask = (model: string) => session.send('next', { model }).finished();
  for (const model of ['anthropic/a', 'anthropic/a', 'anthropic/b', 'openai/gpt-x', 'anthropic/a', 'anthropic/b'])
    expect(await ask(model)).toMatchObject({ status: 'completed', text: 'ok' });
  await stack.restartRuntime();
  expect(await ask('anthropic/a')).toMatchObject({ text: 'ok' });
  const kept = provider.calls.map((call) =>
    call.path.endsWith('/messages') ? signaturesIn(call).length : call.bytes.includes('signature'),
  );
  expect(kept).toEqual([0, 1, 0, false, 2, 1, 3]);
});

it('thinking that its own model refuses is left out at once', async () => {
  const { provider, session } = await setUp((call) =>
    signaturesIn(call).length > 0
      ? refuse(call)
      : sayInAnthropic(call, { thinking: { text: 'Hm.', signature: 'old' }, text: 'ok' }),
  );
  for (const text of ['one', 'two'])
    expect(await session.send(text, { model: 'anthropic/a' }).finished()).toMatchObject({ text: 'ok' });
  expect(provider.calls).toHaveLength(3);
});

it('thinking is not given back once the agent has changed: its signature covers the instructions', async () => {
  const { provider, session } = await setUp(answer);
  const ask = (agent?: string) =>
    session.send('next', { model: 'anthropic/a', ...(agent === undefined ? {} : { agent }) }).finished();
  for (const agent of [undefined, undefined, 'coder', undefined]) await ask(agent);
  expect(provider.calls.map((call) => signaturesIn(call).length)).toEqual([0, 1, 0, 1]);
});
