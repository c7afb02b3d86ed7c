import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type Session, tool } from '../../packages/sdk/src/index.ts';
import { conversationOf, type FakeProvider, type ProviderCall, startFakeProvider } from '../support/fake-provider.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { anthropicMistakes, openAiMistakes } from '../support/wire-rules.ts';

const cleanups: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function setUp(
  variables: Record<string, string> = {},
): Promise<{ provider: FakeProvider; stack: Stack; session: Session }> {
  const provider = await startFakeProvider();
  cleanups.push(() => provider.close());
  const stack = await startStack({
    providerUrl: provider.url,
    variables: {
      LLM_PROXY__ANTHROPIC_BASE_URL: provider.url.replace('/v1', ''),
      LLM_PROXY__ANTHROPIC_API_KEY: 'sk-test',
      LLM_PROXY__DEFAULT_MODEL: 'openai/fake-1',
      ...variables,
    },
  });
  cleanups.push(() => stack.close());
  return { provider, stack, session: await stack.client().sessions.create() };
}

async function answer(call: ProviderCall, text: string): Promise<void> {
  await call.text(text);
  await call.finish();
}

it('a conversation that fills the window is summarised, which is seen, and goes on after a restart too', async () => {
  const { provider, stack, session } = await setUp({ AGENT_RUNTIME__CONTEXT_WINDOW: '2000' });
  const say = async (text: string) => {
    const run = session.send(text);
    let call = await provider.next();
    const summarised = JSON.stringify(call.body.messages.at(-1)).includes('Write the summary');
    if (summarised) {
      expect(openAiMistakes(call.body)).toEqual([]);
      await answer(call, 'They counted.');
      call = await provider.next();
    }
    expect(openAiMistakes(call.body)).toEqual([]);
    await answer(call, `answer to ${text.slice(0, 20)}`);
    await run.finished();
    return { call, summarised };
  };
  let last = await say(`turn 0 ${'x'.repeat(900)}`);
  for (let turn = 1; turn < 12 && !last.summarised; turn++) last = await say(`turn ${turn} ${'x'.repeat(900)}`);
  expect(last.summarised).toBe(true);
  const conversation = conversationOf(last.call);
  expect(conversation[0]).toMatchObject({ role: 'user', content: expect.stringContaining('They counted.') });
  expect(conversation.at(-1)?.content).toContain('turn');
  const { items } = await session.items({ limit: 200 });
  const [compaction] = items.filter(({ kind }) => kind === 'compaction');
  expect(compaction).toMatchObject({ text: 'They counted.' });
  expect(compaction?.compaction?.tokensAfter).toBeLessThan(compaction?.compaction?.tokensBefore ?? 0);
  // Nothing that was said is gone for the person.
  expect(items.filter(({ kind }) => kind === 'user_message')[0]?.text).toContain('turn 0');
  await stack.restartRuntime();
  const { call } = await say('after the restart');
  expect(conversationOf(call)[0]?.content).toContain('They counted.');
  expect(conversationOf(call)).toHaveLength(conversation.length + 2);
});

it('a compaction that gains nothing is not made again with every step', async () => {
  const { provider, session } = await setUp({ AGENT_RUNTIME__CONTEXT_WINDOW: '2000' });
  const isSummary = (call: ProviderCall) => JSON.stringify(call.body.messages.at(-1)).includes('Write the summary');
  let summaries = 0;
  for (let turn = 0; turn < 12; turn++) {
    const run = session.send(`turn ${turn} ${'x'.repeat(turn < 6 ? 900 : 40)}`);
    let call = await provider.next();
    if (isSummary(call)) {
      summaries++;
      // As long as what it sums up.
      await answer(call, 'y'.repeat(8_000));
      call = await provider.next();
    }
    expect(isSummary(call)).toBe(false);
    await answer(call, 'ok');
    await run.finished();
  }
  expect(summaries).toBeGreaterThan(0);
  expect(summaries).toBeLessThan(4);
  expect((await session.items({ limit: 200 })).items.filter(({ kind }) => kind === 'compaction')).toEqual([]);
});

it('the plan is kept word for word when the conversation is summarised', async () => {
  const { provider, session } = await setUp({ AGENT_RUNTIME__CONTEXT_WINDOW: '2000' });
  const planning = session.send('plan it');
  const first = await provider.next();
  await first.tools({ name: 'plan', args: { entries: [{ text: 'Mend  the <parser>', status: 'pending' }] } });
  await first.finish('tool_calls');
  await answer(await provider.next(), 'planned');
  await planning.finished();
  for (let turn = 0; turn < 12; turn++) {
    const run = session.send(`turn ${turn} ${'x'.repeat(900)}`);
    let call = await provider.next();
    const isSummary = JSON.stringify(call.body.messages.at(-1)).includes('Write the summary');
    if (isSummary) {
      await answer(call, 'They counted.');
      call = await provider.next();
    }
    await answer(call, 'ok');
    await run.finished();
    if (!isSummary) continue;
    expect(conversationOf(call)[0]?.content).toContain('<plan>\n- [pending] Mend  the <parser>\n</plan>');
    return;
  }
  expect.unreachable('it was never summarised');
});

it('a provider that finds it too long gets less, once', async () => {
  const { provider, session } = await setUp();
  for (let turn = 0; turn < 6; turn++) {
    const run = session.send(`turn ${turn} ${'x'.repeat(400)}`);
    await answer(await provider.next(), 'ok');
    await run.finished();
  }
  const run = session.send('one more');
  const error = { error: { message: 'too long', type: 'invalid_request_error', code: 'context_length_exceeded' } };
  (await provider.next()).json(error, 400);
  await answer(await provider.next(), 'a summary');
  const second = await provider.next();
  expect(conversationOf(second)[0]?.content).toContain('a summary');
  expect(conversationOf(second).at(-1)?.content).toBe('one more');
  second.json(error, 400);
  await expect(run.finished()).rejects.toMatchObject({ code: 'CONTEXT_WINDOW_EXCEEDED' });
});

it('images, PDFs and files come with a message, on both wires, and again after a restart', async () => {
  const { provider, stack, session } = await setUp();
  const png = 'iVBORw0KGgo=';
  const run = session.send('look', {
    attachments: [
      { name: 'a.png', mimeType: 'image/png', data: png },
      { name: 'b.pdf', mimeType: 'application/pdf', data: 'JVBERi0=' },
      { name: 'c.ts', mimeType: 'text/plain', text: 'const c = 1;' },
    ],
  });
  const first = await provider.next();
  const content = conversationOf(first)[0]?.content as Array<Record<string, unknown>>;
  expect(content).toEqual([
    { type: 'text', text: 'look' },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
    { type: 'file', file: { filename: 'b.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' } },
    { type: 'text', text: '<file name="c.ts">\nconst c = 1;\n</file>' },
  ]);
  await answer(first, 'seen');
  await run.finished();
  const [said] = (await session.items()).items;
  expect(said).toMatchObject({
    text: 'look',
    attachments: [{ name: 'a.png', bytes: 9 }, { name: 'b.pdf' }, { bytes: 12 }],
  });
  await stack.restartRuntime();
  const again = session.send('and now?', { model: 'anthropic/claude-x' });
  const second = await provider.next();
  expect(anthropicMistakes(second.body)).toEqual([]);
  expect(second.body.messages[0].content).toMatchObject([
    { type: 'text', text: 'look' },
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
    { type: 'document' },
    { type: 'text' },
  ]);
  second.response.destroy();
  await again.finished().catch(() => {});
  for (const attachment of [
    { name: 'x', mimeType: 'image/png', data: 'not base64!' },
    { name: 'x', mimeType: 'application/zip', data: 'AAAA' },
    { name: 'x', mimeType: 'text/plain' },
    { name: 'x', mimeType: 'image/png', data: '' },
    { name: 'x', mimeType: 'image/png', data: btoa('GIF89a') },
    { name: 'x', mimeType: 'image/jpeg', data: btoa('<svg/>') },
    { name: 'x', mimeType: 'image/gif', data: btoa('GIF90a') },
    { name: 'x', mimeType: 'image/webp', data: btoa('RIFF\x00\x00\x00\x00WAVE') },
    { name: 'x', mimeType: 'application/pdf', data: btoa(`${' '.repeat(2000)}%PDF-1.7`) },
  ])
    await expect(session.send('x', { attachments: [attachment] }).finished()).rejects.toMatchObject({
      code: 'VALIDATION',
    });
});

it('images and PDFs are taken when they begin as such', async () => {
  const { provider, session } = await setUp();
  const files: Array<[string, string]> = [
    ['image/jpeg', '\xff\xd8\xff\xe0'],
    ['image/gif', 'GIF87a'],
    ['image/gif', 'GIF89a...'],
    ['image/webp', 'RIFF\x00\x00\x00\x00WEBPVP8 '],
    ['application/pdf', `\xef\xbb\xbf${' '.repeat(900)}%PDF-1.7 ${'x'.repeat(5000)}`],
  ];
  const run = session.send('look', {
    attachments: files.map(([mimeType, bytes]) => ({ name: 'x', mimeType, data: btoa(bytes) })),
  });
  await answer(await provider.next(), 'seen');
  expect(await run.finished()).toMatchObject({ text: 'seen' });
});

it('what it costs is told of each step and run, and added up by model', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'codelab-prices-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.yaml');
  await writeFile(file, 'prices:\n  "openai/*": { input: 1000000, output: 2000000 }\n');
  const { provider, session } = await setUp({ LLM_PROXY__CONFIG: file });
  const run = session.send('count');
  const first = await provider.next();
  await first.tools({ name: 'calculator', args: { expression: '1' } });
  await first.finish('tool_calls');
  await answer(await provider.next(), 'one');
  const costs: Array<[string, number | undefined]> = [];
  for await (const event of run.events)
    if (event.type === 'step.finished' || event.type === 'run.finished') costs.push([event.type, event.costUsd]);
  // 3 tokens in and 5 out, twice.
  expect(costs).toEqual([
    ['step.finished', 13],
    ['step.finished', 13],
    ['run.finished', 26],
  ]);
  expect(await session.usage()).toMatchObject({ costUsd: 26, steps: 2, byModel: [{ costUsd: 26, steps: 2 }] });
});

it("a model's thinking is given back to it with its tool calls, and shown to nobody else", async () => {
  const { provider, session } = await setUp();
  const run = session.send('think', { model: 'anthropic/claude-x' });
  const first = await provider.next();
  await first.event('message_start', {
    message: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: 'claude-x',
      content: [],
      usage: { input_tokens: 1, output_tokens: 1 },
    },
  });
  const block = async (index: number, start: object, ...deltas: object[]) => {
    await first.event('content_block_start', { index, content_block: start });
    for (const delta of deltas) await first.event('content_block_delta', { index, delta });
    await first.event('content_block_stop', { index });
  };
  await block(
    0,
    { type: 'thinking', thinking: '' },
    { type: 'thinking_delta', thinking: 'Let me see.' },
    { type: 'signature_delta', signature: 'signed' },
  );
  await block(
    1,
    { type: 'tool_use', id: 'toolu_1', name: 'calculator', input: {} },
    { type: 'input_json_delta', partial_json: '{"expression":"1+1"}' },
  );
  await first.event('message_delta', { delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 5 } });
  await first.event('message_stop');
  first.response.end();
  const second = await provider.next();
  expect(anthropicMistakes(second.body)).toEqual([]);
  expect(second.body.messages[1].content).toMatchObject([
    { type: 'thinking', thinking: 'Let me see.', signature: 'signed' },
    { type: 'tool_use', name: 'calculator', input: { expression: '1+1' } },
  ]);
  second.response.destroy();
  await run.finished().catch(() => {});
  const { items } = await session.items();
  expect(items.map(({ kind }) => kind)).toEqual(['user_message', 'reasoning', 'tool_call']);
  expect(JSON.stringify(items)).not.toContain('signed');
});

it('a model that takes no tools is asked without them', async () => {
  const { provider, session } = await setUp();
  const run = session.send('hi');
  const first = await provider.next();
  expect(first.body.tools).toBeDefined();
  first.json({ error: { message: 'registry.ollama.ai/library/tiny does not support tools', type: 'api_error' } }, 400);
  const second = await provider.next();
  expect(second.body.tools).toBeUndefined();
  await answer(second, 'hello');
  expect(await run.finished()).toMatchObject({ text: 'hello' });
});

it('a run ends after as many steps as are allowed, and says how to go on', async () => {
  const { provider, session } = await setUp({ AGENT_RUNTIME__MAX_STEPS: '2' });
  const run = session.send('go');
  for (const expression of ['1', '2']) {
    const call = await provider.next();
    await call.tools({ name: 'calculator', args: { expression } });
    await call.finish('tool_calls');
  }
  expect(await run.finished()).toMatchObject({ status: 'limit' });
  expect((await session.items()).items.at(-1)).toMatchObject({
    kind: 'notice',
    text: expect.stringContaining('2 steps'),
  });
});

it('a tool of the IDE that does not answer in time, and an approval that nobody gives, end by themselves', async () => {
  const { provider, stack, session } = await setUp({
    AGENT_RUNTIME__TOOL_TIMEOUT_MS: '200',
    AGENT_RUNTIME__APPROVAL_TIMEOUT_MS: '200',
  });
  await fetch(`${stack.gateway.url}/api/v1/sessions/${session.id}/tools`, {
    method: 'PUT',
    headers: { 'x-internal-auth': 'test-key-of-the-gateway' },
    body: JSON.stringify({
      clientId: 'gone',
      tools: [
        { name: 'look', inputSchema: { type: 'object' }, kind: 'read' },
        { name: 'act', inputSchema: { type: 'object' } },
      ],
    }),
  });
  const run = session.send('go');
  const first = await provider.next();
  await first.tools({ name: 'look', args: {} }, { name: 'act', args: {} });
  await first.finish('tool_calls');
  const second = await provider.next();
  expect(conversationOf(second).slice(2)).toMatchObject([
    { content: expect.stringContaining('did not answer within 0.2 s') },
    { content: expect.stringContaining('Nobody decided') },
  ]);
  await answer(second, 'too bad');
  expect(await run.finished()).toMatchObject({ status: 'completed' });
});

it('names that the model makes up, and results cut within a character, are given to providers so that they take them', async () => {
  const { provider, stack } = await setUp();
  const emoji = '🎈';
  const long = `${'a'.repeat(24 * 1024 - 1)}${emoji.repeat(9_999)}b`;
  const results = [long, `half \ud83c`];
  const tools = {
    look: tool({ description: 'Looks', input: { type: 'object' }, kind: 'read', execute: () => results.shift() }),
  };
  const session = await stack.client({ tools }).sessions.create();
  const run = session.send('go \ud83c');
  const first = await provider.next();
  const names = ['bad name!', 'x'.repeat(100), '', 'имя', 'look', 'look'];
  await first.tools(...names.map((name) => ({ name, args: {} })));
  await first.finish('tool_calls');
  const second = await provider.next();
  expect(openAiMistakes(second.body)).toEqual([]);
  const [, assistant, ...told] = conversationOf(second) as Array<{
    content: string;
    tool_calls?: Array<{ function: { name: string } }>;
  }>;
  expect(assistant?.tool_calls?.map((call) => call.function.name)).toEqual([
    'bad_name_',
    'x'.repeat(64),
    'unnamed',
    '___',
    'look',
    'look',
  ]);
  expect(told[0]?.content).toContain('There is no tool "bad name!"');
  const resultId = /as "([^"]+)"/.exec(told[4]?.content ?? '')?.[1];
  await second.tools({ name: 'read_result', args: { result_id: resultId, offset: 24 * 1024, limit: 2 } });
  await second.finish('tool_calls');
  const third = await provider.next();
  expect(conversationOf(third).at(-1)?.content).toContain(`${emoji}${emoji}\n[`);
  for (const call of [second, third])
    expect(call.body.messages.filter((message: object) => !isWellFormed(message))).toEqual([]);
  await third.finish();
  await run.finished();
  const { items } = await session.items();
  expect(items.filter(({ toolCall }) => !isWellFormed(toolCall ?? {}))).toEqual([]);
});

/** Escapes of halves are the same to a provider. */
function isWellFormed(value: object): boolean {
  return !/\\ud[89a-f]/i.test(JSON.stringify(value));
}
