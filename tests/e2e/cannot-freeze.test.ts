import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Session, type ToolKind, tool } from '../../packages/sdk/src/index.ts';
import { workspaceTools } from '../../packages/sdk/src/node/index.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { keys } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

type Schema = { type: 'object'; [keyword: string]: unknown };

const object = (properties: Record<string, unknown>, more: object = {}): Schema => ({
  type: 'object',
  properties,
  ...more,
});
/** Twice as much to try with each level. */
function doubling(levels: number): Schema {
  const $defs: Record<string, unknown> = { [`d${levels}`]: { type: 'number' } };
  for (let level = 0; level < levels; level++) {
    const next = { $ref: `#/$defs/d${level + 1}` };
    $defs[`d${level}`] = { anyOf: [next, next] };
  }
  return object({ x: { $ref: '#/$defs/d0' } }, { $defs });
}

async function makeSession(input: Schema, kind: ToolKind = 'read') {
  const done: unknown[] = [];
  const probe = tool<Record<string, unknown>>({
    description: 'Probes',
    input,
    kind,
    resource: 'path',
    execute: (args) => {
      done.push(args);
      return 'probed';
    },
  });
  const client = story.stack.client({ tools: { probe } });
  return { session: await client.sessions.create(), done };
}

/** Lets the model make calls, and returns the results that it is given. */
async function call(session: Session, ...args: Array<object | string>): Promise<string[]> {
  const run = session.send('go');
  const first = await story.provider.next();
  await first.tools(...args.map((each) => ({ name: 'probe', args: each })));
  await first.finish('tool_calls');
  const next = await story.provider.next();
  await next.finish();
  expect(await run.finished()).toMatchObject({ status: 'completed' });
  return conversationOf(next)
    .slice(-args.length)
    .map(({ content }) => content as string);
}

/** Another session is answered: the process is at work. */
async function isAlive(): Promise<void> {
  const run = (await story.stack.client().sessions.create()).send('and you?');
  const other = await story.provider.next();
  await other.text('here');
  await other.finish();
  expect(await run.finished()).toMatchObject({ text: 'here' });
}

const api = (method: string, path: string, body: object | string) =>
  fetch(`${story.stack.gateway.url}/api/v1/sessions/${path}`, {
    method,
    headers: { 'x-internal-auth': keys.gateway, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('rules', () => {
  it('with globs that others take years for are told at once, on paths and on commands', async () => {
    for (const kind of ['read', 'execute'] as const) {
      const { session } = await makeSession(object({ path: { type: 'string' } }), kind);
      session.onApproval(() => ({ decision: 'allow' }));
      for (const resource of [
        `${'*a'.repeat(40)}b`,
        `${'+('.repeat(50)}a${')'.repeat(50)}b`,
        '{1..10000000}'.repeat(20),
      ])
        await session.rules.add({ tool: '*', resource, effect: 'ask' });
      await session.rules.add({ tool: `${'*p'.repeat(40)}x`, effect: 'deny' });
      expect(await call(session, { path: 'a'.repeat(200) })).toEqual(['probed']);
    }
  });

  it('that are stored do not freeze the process that finds them', async () => {
    const { session, done } = await makeSession(object({ path: { type: 'string' } }), 'write');
    const run = session.send('go');
    const first = await story.provider.next();
    await first.tools({ name: 'probe', args: { path: 'a'.repeat(200) } });
    await first.finish('tool_calls');
    let callId = '';
    for await (const event of session.events({ from: 'start' })) {
      if (event.type !== 'approval.requested') continue;
      callId = event.approval.callId;
      break;
    }
    await session.rules.add({ tool: '*', resource: `${'*a'.repeat(40)}b`, effect: 'ask' });
    await story.stack.restartRuntime();
    await session.decide(callId, { decision: 'allow' });
    await (await story.provider.next()).finish();
    expect(await run.finished()).toMatchObject({ status: 'completed' });
    expect(done).toHaveLength(1);
  });

  it('are refused where they are too long, and where there are too many', async () => {
    const session = await story.stack.client().sessions.create();
    const long = 'x'.repeat(1_001);
    await expect(session.rules.add({ tool: '*', resource: long, effect: 'deny' })).rejects.toMatchObject({
      code: 'VALIDATION',
    });
    const add = (index: number) =>
      session.rules.add({ tool: '*', resource: `${index}${'x'.repeat(990)}`, effect: 'deny' });
    let refused: unknown;
    for (let index = 0; index < 300 && refused === undefined; index++)
      await add(index).catch((error) => {
        refused = error;
      });
    expect(refused).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('Delete some') });
    // One that is there already may be said again.
    await add(0);
  });
});

describe('schemas', () => {
  it.each([
    ['a pattern', object({ x: { pattern: '^(a+)+$' } }), { x: `${'a'.repeat(40)}!` }],
    ['a pattern over names', object({}, { patternProperties: { '^(a+)+$': {} } }), { [`${'a'.repeat(40)}!`]: 1 }],
    ['alternatives of alternatives', doubling(40), { x: 'no number' }],
    [
      'items that must differ',
      object({ x: { uniqueItems: true } }),
      { x: Array.from({ length: 20_000 }, (_, n) => ({ n })) },
    ],
  ])('that take for ever fail the call alone: %s', async (_, schema, args) => {
    const { session, done } = await makeSession(schema);
    const results = call(session, args);
    const [result] = await results;
    expect(result).toContain('takes too long or too much memory');
    expect(done).toEqual([]);
    await isAlive();
    // With other arguments the tool is as good as before.
    expect(await call(session, {})).toEqual(['probed']);
  });

  it('that take for ever hold up nobody else meanwhile, and a cancel does not wait for them', async () => {
    const { session } = await makeSession(object({ x: { pattern: '^(a+)+$' } }));
    const run = session.send('go');
    const first = await story.provider.next();
    // More than can be checked in the time of a test.
    await first.tools(
      ...Array.from({ length: 20 }, (_, n) => ({ name: 'probe', args: { x: `${'a'.repeat(40)}${n}!` } })),
    );
    await first.finish('tool_calls');
    await isAlive();
    await run.cancel();
    expect(await run.finished()).toMatchObject({ status: 'cancelled' });
  });

  it('that are stored do not freeze the process that finds them, and its run goes on', async () => {
    const { session, done } = await makeSession(object({ x: {} }), 'execute');
    const run = session.send('go');
    const first = await story.provider.next();
    await first.tools({ name: 'probe', args: { x: `${'a'.repeat(40)}!` } });
    await first.finish('tool_calls');
    for await (const event of session.events({ from: 'start' })) if (event.type === 'approval.requested') break;
    const schema = object({ x: { pattern: '^(a+)+$' } });
    const tools = [{ name: 'probe', inputSchema: schema }];
    expect((await api('PUT', `${session.id}/tools`, { clientId: 'another', tools })).status).toBe(200);
    await story.stack.restartRuntime();
    const next = await story.provider.next();
    expect(conversationOf(next).at(-1)).toMatchObject({ content: expect.stringContaining('takes too long') });
    await next.finish();
    expect(await run.finished()).toMatchObject({ status: 'completed' });
    expect(done).toEqual([]);
    expect(await session.approvals()).toEqual([]);
    await isAlive();
  });

  it.each<[string, object[], string]>([
    ['that are none', [{ inputSchema: object({ a: { type: 'strng' } }) }], 'is no JSON Schema'],
    ['that refer to nothing', [{ inputSchema: object({ a: { $ref: '#/$defs/none' } }) }], 'is no JSON Schema'],
    ['with a broken pattern', [{ inputSchema: object({ a: { pattern: '(' } }) }], 'is no JSON Schema'],
    ['of 64 KiB', [{ inputSchema: object({ a: { description: 'x'.repeat(66_000) } }) }], 'at most 64 KiB'],
    [
      'of 1 MiB together',
      Array.from({ length: 20 }, () => ({ inputSchema: object({ a: { description: 'x'.repeat(60_000) } }) })),
      '1 MiB together',
    ],
    ['of too many tools', Array.from({ length: 129 }, () => ({ inputSchema: object({}) })), 'at most 128 tools'],
  ])('%s are refused when they are announced', async (_, tools, why) => {
    const session = await story.stack.client().sessions.create();
    const named = tools.map((each, index) => ({ name: `t${index}`, ...each }));
    const response = await api('PUT', `${session.id}/tools`, { clientId: 'c', tools: named });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { code: 'VALIDATION', message: expect.stringContaining(why) },
    });
  });

  it('that are nested without end are refused when they are announced', async () => {
    const session = await story.stack.client().sessions.create();
    const deep = `${'{"not":'.repeat(5_000)}{}${'}'.repeat(5_000)}`;
    const body = `{"clientId":"c","tools":[{"name":"t","inputSchema":{"type":"object","not":${deep}}}]}`;
    const response = await api('PUT', `${session.id}/tools`, body);
    expect(await response.json()).toMatchObject({ error: { code: 'VALIDATION' } });
  });

  it('are taken however they are written: an older draft, patterns that only an older flag reads, lookarounds', async () => {
    const { session } = await makeSession(
      object(
        { a: { type: 'array', items: [{ type: 'string' }] } },
        { $schema: 'http://json-schema.org/draft-07/schema#' },
      ),
    );
    expect(await call(session, { a: ['x'] }, { a: [1] })).toEqual([
      'probed',
      expect.stringContaining('must be string'),
    ]);
    const { session: other } = await makeSession(
      object({ a: { pattern: '^\\w+\\-\\w+$' }, b: { pattern: '^(?!x)(.)\\1$' } }, { required: ['a'] }),
    );
    expect(await call(other, { a: 'a-b', b: 'yy' }, { a: 'a', b: 'xx' })).toEqual([
      'probed',
      expect.stringContaining('must match pattern'),
    ]);
  });
});

describe('values', () => {
  it('nested without end fail the call alone, and the conversation goes on', async () => {
    const { session, done } = await makeSession(object({}));
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(await call(session, deep)).toEqual([expect.stringContaining('nested more than')]);
    await story.stack.restartRuntime();
    expect(await call(session, {})).toEqual(['probed']);
    expect(done).toEqual([{}]);
  });

  it('nested without end are no result and no decision: the call goes on waiting', async () => {
    const session = await story.stack.client().sessions.create();
    const tools = [{ name: 'probe', inputSchema: object({}) }];
    await api('PUT', `${session.id}/tools`, { clientId: 'by-hand', tools });
    const run = session.send('go');
    const first = await story.provider.next();
    await first.tools({ name: 'probe', args: {} });
    await first.finish('tool_calls');
    let callId = '';
    const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
    for await (const event of session.events({ from: 'start' })) {
      if (event.type === 'approval.requested') {
        callId = event.approval.callId;
        const edited = await api(
          'POST',
          `${session.id}/approvals/${callId}`,
          `{"decision":"edit","arguments":{"a":${deep}}}`,
        );
        expect(await edited.json()).toMatchObject({ error: { code: 'VALIDATION' } });
        await session.decide(callId, { decision: 'allow' });
      }
      if (event.type === 'tool.requested') break;
    }
    const answered = await api('POST', `${session.id}/calls/${callId}/result`, `{"result":${deep}}`);
    expect(await answered.json()).toMatchObject({ error: { code: 'VALIDATION' } });
    expect((await api('POST', `${session.id}/calls/${callId}/result`, { result: 'flat' })).status).toBe(200);
    const next = await story.provider.next();
    expect(conversationOf(next).at(-1)).toMatchObject({ content: 'flat' });
    await next.finish();
    await run.finished();
  });
});

describe("the IDE's process", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'codelab-freeze-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Lets the model make one call of the folder's tools. */
  const start = async (name: string, args: object) => {
    const client = story.stack.client({ tools: workspaceTools({ folder }) });
    const session = await client.sessions.create();
    session.onApproval(() => ({ decision: 'allow' }));
    const run = session.send('go');
    const first = await story.provider.next();
    await first.tools({ name, args });
    await first.finish('tool_calls');
    return { session, run };
  };
  const resultOf = async ({ run }: Awaited<ReturnType<typeof start>>) => {
    const next = await story.provider.next();
    await next.finish();
    await run.finished();
    return conversationOf(next).at(-1)?.content as string;
  };

  it('lists by a pattern that others take years for', async () => {
    writeFileSync(join(folder, 'a'.repeat(60)), '');
    for (const pattern of [`${'*a'.repeat(30)}b`, '{1..10000000}', `${'{a,'.repeat(100)}b${'}'.repeat(100)}`])
      expect(await resultOf(await start('list_files', { pattern }))).toBe('Nothing was found.');
    const groups = `${'+('.repeat(50)}a${')'.repeat(50)}b`;
    expect(await resultOf(await start('list_files', { pattern: groups }))).toContain('write a simpler one');
    expect(await resultOf(await start('list_files', { pattern: 'a'.repeat(2_000) }))).toContain('too long');
  });

  it('searches by an expression without end beside everything else, says where it did not, and stops when it is told to', async () => {
    writeFileSync(join(folder, 'one.txt'), `${'a'.repeat(40)}!\n`);
    writeFileSync(join(folder, 'two.txt'), 'aaa\n');
    const search = { query: '^(a+)+$', is_regex: true };
    const running = await start('search_in_code', search);
    for await (const event of running.session.events({ from: 'start' })) if (event.type === 'tool.requested') break;
    await isAlive();
    expect(await resultOf(running)).toBe(
      'two.txt:1: aaa\n[left out, because the expression takes too long there: one.txt]',
    );
    const stopped = await start('search_in_code', search);
    for await (const event of stopped.session.events({ from: 'start' })) if (event.type === 'tool.requested') break;
    await stopped.run.cancel();
    expect(await stopped.run.finished()).toMatchObject({ status: 'cancelled' });
    await isAlive();
  });

  it('tells that a patch does not fit, however far its lines are, and however much there is to compare', async () => {
    writeFileSync(join(folder, 'a.txt'), 'a\n'.repeat(200_000));
    const far = '--- a/a.txt\n+++ b/a.txt\n@@ -9000000000000000,1 +1,1 @@\n-b\n+c\n';
    expect(await resultOf(await start('apply_patch', { patch: far }))).toContain('does not fit a.txt');
    const beyond = '--- a/a.txt\n+++ b/a.txt\n@@ -9000000000000000,0 +1,1 @@\n+c\n';
    expect(await resultOf(await start('apply_patch', { patch: beyond }))).toContain('does not fit a.txt');
    const long = `--- a/a.txt\n+++ b/a.txt\n@@ -1,20001 +1,20000 @@\n${' a\n'.repeat(20_000)}-b\n`;
    expect(await resultOf(await start('apply_patch', { patch: long }))).toContain('takes too long');
  });
});
