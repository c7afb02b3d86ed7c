import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { sayInAnthropic } from '../support/anthropic-answer.ts';
import { type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { startStack } from '../support/stack.ts';

const cleanups: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function say(call: ProviderCall): Promise<void> {
  if (call.path.endsWith('/messages')) return sayInAnthropic(call, {});
  await call.text('ok');
  return call.finish();
}

async function setUp(answer: (call: ProviderCall) => Promise<void> | void = say) {
  const folder = await mkdtemp(join(tmpdir(), 'codelab-agents-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'deep.md'), '---\nname: deep\neffort: high\n---\nThink.\n');
  const provider = await startFakeProvider(answer);
  cleanups.push(() => provider.close());
  const stack = await startStack({
    providerUrl: provider.url,
    variables: {
      AGENT_RUNTIME__AGENTS_DIR: folder,
      LLM_PROXY__ANTHROPIC_BASE_URL: provider.url.replace('/v1', ''),
      LLM_PROXY__ANTHROPIC_API_KEY: 'sk-test',
    },
  });
  cleanups.push(() => stack.close());
  return { provider, client: stack.client() };
}

it('an input says how much is thought, else its session, else its agent, else the model', async () => {
  const { provider, client } = await setUp();
  const session = await client.sessions.create({ model: 'openai/gpt-x' });
  await session.send('one').finished();
  await session.send('two', { agent: 'deep' }).finished();
  await session.update({ effort: 'low' });
  await session.send('three').finished();
  await session.send('four', { effort: 'xhigh' }).finished();
  await session.send('five', { effort: 'default' }).finished();
  await session.send('six', { effort: 'medium', model: 'anthropic/claude-opus-5' }).finished();
  await session.update({ effort: 'default' });
  await session.send('seven').finished();
  expect(provider.calls.map(({ body }) => body.reasoning_effort)).toEqual([
    undefined,
    'high',
    'low',
    'xhigh',
    'high',
    undefined,
    'high',
  ]);
  expect(provider.calls[5]?.body).toMatchObject({
    output_config: { effort: 'medium' },
    thinking: { type: 'adaptive', display: 'summarized' },
  });
  const made = await client.sessions.create({ sessionId: 'mine', effort: 'none' });
  expect((await client.sessions.get('mine')).info.effort).toBe('none');
  expect(made.info.effort).toBe('none');
  expect((await client.agents.list()).agents.find(({ name }) => name === 'deep')?.effort).toBe('high');
});

it.each([
  ['openai/gpt-x', "Unsupported parameter: 'reasoning_effort' is not supported with this model."],
  ['openai/gpt-x', "Unsupported value: 'high' is not supported with the 'gpt-x' model.", 'reasoning_effort'],
  ['anthropic/claude-opus-5', 'This model does not support the effort parameter.'],
  ['anthropic/claude-opus-5', "This model does not support effort level 'high'. Supported levels: low."],
  ['anthropic/claude-old', 'thinking.type: adaptive thinking is not supported on this model'],
])('%s that does not take it is asked again without, once: %s', async (model, message, param?: string) => {
  const has = ({ body }: ProviderCall) =>
    (body.reasoning_effort ?? body.output_config?.effort ?? body.thinking) !== undefined;
  const { provider, client } = await setUp((call) =>
    has(call) ? call.json({ error: { type: 'invalid_request_error', message, param } }, 400) : say(call),
  );
  const session = await client.sessions.create({ model, effort: 'high' });
  for (const text of ['one', 'two']) expect(await session.send(text).finished()).toMatchObject({ text: 'ok' });
  expect(provider.calls.map(has)).toEqual([true, false, false]);
});

it('what else a provider refuses is told, and asked once', async () => {
  const { provider, client } = await setUp((call) =>
    call.json({ error: { type: 'invalid_request_error', message: 'Your image is broken.' } }, 400),
  );
  const session = await client.sessions.create({ model: 'openai/gpt-x', effort: 'high' });
  await expect(session.send('one').finished()).rejects.toMatchObject({ code: 'VALIDATION' });
  expect(provider.calls).toHaveLength(1);
});
