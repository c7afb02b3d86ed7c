import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  type Client,
  type FileChange,
  type Session,
  type TrackedSessionEvent,
  tool,
} from '../../packages/sdk/src/index.ts';
import { workspaceTools } from '../../packages/sdk/src/node/index.ts';
import { changedBy } from '../support/changed-by.ts';
import { conversationOf } from '../support/fake-provider.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'codelab-previews-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (path: string, text: string | Buffer) => writeFileSync(join(folder, path), text);
const get = (path: string) => readFileSync(join(folder, path), 'utf8');

/** The first event of a type that fits. */
async function waitFor<T extends TrackedSessionEvent['type']>(
  session: Session,
  type: T,
  { from = 'start', lastEventId }: { from?: 'now' | 'start'; lastEventId?: string } = {},
) {
  for await (const event of session.events({ from, lastEventId }))
    if (event.type === type) return event as Extract<TrackedSessionEvent, { type: T }>;
  throw new Error('unreachable');
}

/** The approval of a tool's call. */
async function askedFor(session: Session, name: string) {
  for await (const event of session.events({ from: 'start' }))
    if (event.type === 'approval.requested' && event.approval.name === name) return event.approval;
  throw new Error('unreachable');
}

/** Has the model make one call. */
async function makeCall(session: Session, name: string, args: object) {
  const run = session.send('go');
  const call = await story.provider.next();
  await call.tools({ name, args });
  await call.finish('tool_calls');
  return run;
}

/** Ends the run once the model has the result of its call. */
async function endOf(run: Awaited<ReturnType<typeof makeCall>>) {
  const next = await story.provider.next();
  const { content } = conversationOf(next).at(-1) as { content: string };
  await next.finish();
  await run.finished();
  return content;
}

const BEFORE = Array.from({ length: 30 }, (_, line) => `line ${line}`).join('\n');
const AFTER = `first\n${BEFORE.replace('line 20', 'line twenty')}\n`;

it('an approval of write_file has what the file would become, in every window, after a restart, and that is what is written', async () => {
  put('a.txt', BEFORE);
  const client = story.stack.client({ tools: workspaceTools({ folder }) });
  const session = await client.sessions.create({ project: folder });
  const other = await story.stack.client().sessions.get(session.id);
  const run = await makeCall(session, 'write_file', { path: './a.txt', content: AFTER });
  const { approval, id } = await waitFor(other, 'approval.requested');
  expect(approval.changes).toBeUndefined();
  const { callId, changes } = await waitFor(other, 'approval.updated', { lastEventId: id });
  expect(callId).toBe(approval.callId);
  expect(changes).toMatchObject([{ path: 'a.txt', change: 'modify', hunks: [{ hunk: 0 }, { hunk: 1 }, { hunk: 2 }] }]);
  expect(await other.approvals()).toEqual([{ ...approval, changes }]);
  await story.stack.restartRuntime();
  expect(await other.approvals()).toEqual([{ ...approval, changes }]);
  // A newcomer is shown both at once; who goes on is shown each.
  expect((await waitFor(other, 'approval.requested', { from: 'now' })).approval).toEqual({ ...approval, changes });
  expect((await waitFor(other, 'approval.updated', { lastEventId: id })).changes).toEqual(changes);
  expect(get('a.txt')).toBe(BEFORE);
  await other.decide(callId, { decision: 'allow' });
  expect(await endOf(run)).toContain('is written');
  expect(get('a.txt')).toBe(AFTER);
  expect(changedBy(BEFORE, changes[0] as FileChange)).toBe(AFTER);
});

it('a handler is given the changes: of a new file, of one that is deleted, of a patch, and nothing of a command', async () => {
  put('old.txt', 'one\n');
  const client = story.stack.client({ tools: workspaceTools({ folder }) });
  const session = await client.sessions.create({ project: folder });
  const seen: Array<FileChange[] | undefined> = [];
  session.onApproval(async ({ kind }, { changes }) => {
    seen.push(await changes(kind === 'execute' ? 3_600_000 : undefined));
    return { decision: 'reject' };
  });
  for (const [name, args] of [
    ['write_file', { path: 'b/new.txt', content: 'one\ntwo' }],
    ['delete_file', { path: 'old.txt' }],
    ['apply_patch', { patch: '--- a/old.txt\n+++ b/old.txt\n@@ -1,1 +1,1 @@\n-one\n+two\n' }],
    ['run_command', { command: 'true' }],
    ['delete_file', { path: 'none.txt' }],
  ] as const)
    await endOf(await makeCall(session, name, args));
  const created = ['+one', '+two', '\\ No newline at end of file'];
  expect(seen).toEqual([
    [
      {
        path: 'b/new.txt',
        change: 'create',
        hunks: [{ hunk: 0, header: '@@ -0,0 +1,2 @@', lines: created }],
      },
    ],
    [{ path: 'old.txt', change: 'delete', hunks: [{ hunk: 0, header: '@@ -1,1 +0,0 @@', lines: ['-one'] }] }],
    [{ path: 'old.txt', change: 'modify', hunks: [{ hunk: 0, header: '@@ -1,1 +1,1 @@', lines: ['-one', '+two'] }] }],
    undefined,
    undefined,
  ]);
});

it('shows nothing of what a rule keeps from the tool, or from being read, and the person is asked all the same', async () => {
  put('key.txt', 'secret');
  put('open.txt', 'open');
  const client = story.stack.client({ tools: workspaceTools({ folder }) });
  const session = await client.sessions.create({ project: folder });
  await session.rules.add({ tool: 'read_file', resource: '**/key.txt', effect: 'deny' });
  const seen: unknown[] = [];
  session.onApproval(async ({ preview }, { changes }) => {
    seen.push([preview, await changes(3_600_000)]);
    return { decision: 'reject' };
  });
  for (const path of ['key.txt', 'open.txt'])
    await endOf(await makeCall(session, 'write_file', { path, content: 'x' }));
  const denied = ['**/key.txt'];
  expect(seen).toEqual([
    [{ paths: ['key.txt'], denied, root: folder }, undefined],
    [{ paths: ['open.txt'], denied, root: folder }, [expect.objectContaining({ path: 'open.txt' })]],
  ]);
});

/** A tool whose preview comes when the test says so. */
function makeSlow() {
  const asked: Array<(changes: FileChange[]) => void> = [];
  const errors: unknown[] = [];
  const slow = tool({
    description: 'Writes slowly',
    input: { type: 'object' },
    kind: 'write',
    execute: () => 'written',
    preview: () => new Promise<FileChange[]>((resolve) => void asked.push(resolve)),
  });
  const client = story.stack.client({ tools: { slow }, onError: (error) => void errors.push(error) });
  return { client, asked, errors };
}

const changeOf = (path: string, ...lines: string[]): FileChange => ({
  path,
  change: 'create',
  hunks: [{ hunk: 7, header: `@@ -0,0 +1,${lines.length} @@`, lines }],
});

it('a decision waits for no preview, and one that comes later is harmless', async () => {
  const { client, asked, errors } = makeSlow();
  const session = await client.sessions.create();
  const run = await makeCall(session, 'slow', {});
  const { approval } = await waitFor(session, 'approval.requested');
  await session.decide(approval.callId, { decision: 'allow' });
  expect(await endOf(run)).toBe('written');
  await expect.poll(() => asked.length).toBe(1);
  asked[0]?.([changeOf('late', '+1')]);
  // What it says next is said after that.
  const again = await makeCall(session, 'slow', {});
  await expect.poll(() => asked.length).toBe(2);
  asked[1]?.([changeOf('in time', '+1')]);
  expect((await waitFor(session, 'approval.updated')).changes[0]?.path).toBe('in time');
  await again.cancel();
  await again.finished();
  expect(errors).toEqual([]);
});

/** A client without the SDK's worker: it announces a tool, and says what it likes. */
async function makeAsked(clientId: string) {
  const client = story.stack.client();
  const session = await client.sessions.create();
  const announce = (clientId: string) =>
    client.call('tool.announce', {
      sessionId: session.id,
      clientId,
      tools: [
        { name: 'act', inputSchema: { type: 'object' }, kind: 'write' },
        { name: 'apply_patch', inputSchema: { type: 'object' }, kind: 'write' },
      ],
    });
  await announce(clientId);
  const run = await makeCall(session, 'act', {});
  const { approval } = await waitFor(session, 'approval.requested');
  const preview = (changes: FileChange[], by = clientId, callId = approval.callId) =>
    client.call('approval.preview', { sessionId: session.id, callId, clientId: by, changes });
  return { client, session, run, approval, announce, preview };
}

const updatesOf = async (client: Client, session: Session) => {
  const updates: FileChange[][] = [];
  const watcher = await client.sessions.get(session.id);
  for await (const event of watcher.events({ from: 'start' })) {
    if (event.type === 'approval.updated') updates.push(event.changes);
    if (event.type === 'stream.synced') return updates;
  }
  return updates;
};

it('the same changes again are taken once, and others replace them; their hunks are numbered here', async () => {
  const { client, session, preview, run, approval } = await makeAsked('ide');
  const two = [changeOf('a', '+1'), changeOf('b', '+2')];
  expect(await preview(two)).toEqual({ status: 'accepted', replayed: false });
  expect(await preview(two)).toEqual({ status: 'accepted', replayed: true });
  await story.stack.restartRuntime();
  expect(await preview(two)).toEqual({ status: 'accepted', replayed: true });
  expect(await preview([changeOf('c', '+3')])).toEqual({ status: 'accepted', replayed: false });
  const [first, second] = await updatesOf(client, session);
  expect(first?.map(({ path, hunks }) => [path, hunks[0]?.hunk])).toEqual([
    ['a', 0],
    ['b', 1],
  ]);
  expect(second?.map(({ path }) => path)).toEqual(['c']);
  expect(await session.approvals()).toMatchObject([{ callId: approval.callId, changes: second }]);
  // They are no part of the arguments: there is nothing to leave out of those.
  await expect(session.decide(approval.callId, { decision: 'allow', dropHunks: [0] })).rejects.toMatchObject({
    code: 'VALIDATION',
  });
  await run.cancel();
  await run.finished();
});

it('a preview is refused of a wrong client, of an unknown call, of a patch, where it is too large, and of what was decided', async () => {
  const { session, run, approval, preview, announce } = await makeAsked('ide');
  const changes = [changeOf('a', '+1')];
  await expect(preview(changes, 'stranger')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(preview(changes, 'ide', 'call_none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const large = changeOf('a', `+${'x'.repeat(256 * 1024)}`);
  await expect(preview([large])).rejects.toMatchObject({ code: 'VALIDATION' });
  await expect(preview([])).rejects.toMatchObject({ code: 'VALIDATION' });
  await expect(preview([changeOf('a', 'no sign')])).rejects.toMatchObject({ code: 'VALIDATION' });
  await expect(preview([changeOf('a', '+two\n+lines')])).rejects.toMatchObject({ code: 'VALIDATION' });
  expect(await session.approvals()).toEqual([approval]);
  // The call would go to whoever announced its tool last.
  await announce('another');
  await expect(preview(changes)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  expect(await preview(changes, 'another')).toMatchObject({ replayed: false });
  await session.decide(approval.callId, { decision: 'reject' });
  await expect(preview(changes, 'another')).rejects.toMatchObject({ code: 'APPROVAL_ALREADY_RESOLVED' });
  await endOf(run);
  await expect(preview(changes, 'another')).rejects.toMatchObject({ code: 'APPROVAL_ALREADY_RESOLVED' });

  const patch = '--- /dev/null\n+++ b/a\n@@ -0,0 +1,1 @@\n+x\n';
  const patching = await makeCall(session, 'apply_patch', { patch });
  const asked = await askedFor(session, 'apply_patch');
  expect(asked).toMatchObject({ changes: [{ path: 'a', change: 'create' }] });
  await expect(preview(changes, 'another', asked.callId)).rejects.toMatchObject({ code: 'VALIDATION' });
  await patching.cancel();
  await patching.finished();
});

it('of two windows that have the tool the one that the call goes to says what it changes', async () => {
  put('a.txt', 'here\n');
  const far = mkdtempSync(join(tmpdir(), 'codelab-previews-far-'));
  try {
    writeFileSync(join(far, 'a.txt'), 'there\n');
    const first = story.stack.client({ tools: workspaceTools({ folder: far }) });
    const session = await first.sessions.create();
    const window = story.stack.client({ tools: workspaceTools({ folder }) });
    await window.sessions.get(session.id);
    const run = await makeCall(session, 'write_file', { path: 'a.txt', content: 'new\n' });
    const { changes } = await waitFor(session, 'approval.updated');
    expect(changes[0]?.hunks[0]?.lines).toEqual(['-here', '+new']);
    await session.decide((await session.approvals())[0]?.callId ?? '', { decision: 'allow' });
    await endOf(run);
    expect([get('a.txt'), readFileSync(join(far, 'a.txt'), 'utf8')]).toEqual(['new\n', 'there\n']);
  } finally {
    rmSync(far, { recursive: true, force: true });
  }
});
