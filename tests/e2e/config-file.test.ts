import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

let folder: string;
let file: string;
let first: FakeProvider;
let second: FakeProvider;
let stack: Stack | undefined;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
  file = join(folder, 'llm-proxy.config.yaml');
  first = await startFakeProvider();
  second = await startFakeProvider();
});
afterEach(async () => {
  await stack?.close();
  await first.close();
  await second.close();
  rmSync(folder, { recursive: true });
});

const write = (models: string) =>
  writeFileSync(
    file,
    `providers:\n  one: { base_url: ${first.url}, api_key_env: KEY_OF_ONE }\n  two: { base_url: ${second.url} }\nmodels:\n${models}`,
  );
const start = async () => {
  stack = await startStack({ variables: { LLM_PROXY__CONFIG: file, KEY_OF_ONE: 'sk-one' } });
  return stack;
};
const modelIds = async ({ llmProxy }: Stack) => {
  const response = await fetch(`${llmProxy.url}/v1/models`, { headers: { 'x-internal-auth': keys.llmProxy } });
  return ((await response.json()) as { data: Array<{ id: string }> }).data.map(({ id }) => id);
};
/** Resolves when the models are as `wanted` says: the reload is the file system's to announce. */
const until = async (running: Stack, wanted: (ids: string[]) => boolean) => {
  while (!wanted(await modelIds(running))) await new Promise((resolve) => setImmediate(resolve));
};

it.each(['sk-ключ-12345678', 'sk-with\nnewline-12345678'])(
  'llm-proxy does not start with a key that cannot be sent, and does not show it',
  async (key) => {
    write('  mine: one/a\n');
    const variables = { LLM_PROXY__CONFIG: file, KEY_OF_ONE: key };
    await expect(startStack({ variables })).rejects.toThrow(
      /providers\.one\.api_key_env: KEY_OF_ONE=…: must have no line breaks[^0-9]*$/,
    );
  },
);

it('an alias falls back to the next provider, before the first token', async () => {
  write('  mine: { routes: [{ model: one/a }], fallbacks: [two/b] }\n');
  const session = await (await start()).client().sessions.create({ model: 'mine' });
  const run = session.send('go');
  const refused = await first.next();
  expect(refused.headers.authorization).toBe('Bearer sk-one');
  refused.response.writeHead(500);
  refused.response.end();
  const call = await second.next();
  expect(call.body.model).toBe('b');
  await call.text('from the second');
  await call.finish();
  expect((await run.finished()).text).toBe('from the second');
});

it('what the request itself is to blame for goes to nobody else', async () => {
  write('  mine: { routes: [{ model: one/a }], fallbacks: [two/b] }\n');
  const session = await (await start()).client().sessions.create({ model: 'mine' });
  const run = session.send('go');
  const refused = await first.next();
  refused.response.writeHead(400);
  refused.response.end();
  await expect(run.finished()).rejects.toMatchObject({ code: 'VALIDATION' });
  expect(second.calls).toHaveLength(0);
});

it('is reloaded on save without breaking a stream', async () => {
  write('  mine: one/a\n');
  const running = await start();
  const session = await running.client().sessions.create({ model: 'mine' });
  const run = session.send('go');
  const call = await first.next();
  await call.text('begun');

  write('  mine: two/b\n  extra: one/c\n');
  await until(running, (ids) => ids.includes('extra'));
  await call.text(' and ended by the first');
  await call.finish();
  expect((await run.finished()).text).toBe('begun and ended by the first');

  const next = session.send('again');
  const answered = await second.next();
  await answered.text('the second');
  await answered.finish();
  expect((await next.finished()).text).toBe('the second');
});

it('a wrong file at the start is refused with its lines', async () => {
  writeFileSync(file, 'models:\n  a: 7\n');
  await expect(start()).rejects.toMatchObject({
    name: 'SettingsError',
    mistakes: [expect.stringContaining('llm-proxy.config.yaml:2: models.a')],
  });
});
