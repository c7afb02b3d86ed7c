import { expect, it } from 'vitest';
import { useStory } from '../support/story.ts';

const story = useStory();

it('sessions are listed by their last use, found by a part of the title, and by their project, page by page', async () => {
  const { sessions } = story.stack.client();
  for (const [sessionId, title, project] of [
    ['s1', 'Fix 100% of it', '/ws'],
    ['s2', 'Почини СБОРКУ', '/ws'],
    ['s3', 'Fix_the_build', '/other'],
  ])
    await sessions.create({ sessionId, title, project });
  const ids = async (options?: Parameters<typeof sessions.list>[0]) =>
    (await sessions.list(options)).sessions.map(({ sessionId }) => sessionId);
  expect(await ids()).toEqual(['s3', 's2', 's1']);
  const run = (await sessions.get('s1')).send('again');
  await (await story.provider.next()).finish();
  await run.finished();
  expect(await ids()).toEqual(['s1', 's3', 's2']);
  expect(await ids({ search: 'fix' })).toEqual(['s1', 's3']);
  expect(await ids({ search: 'сборк' })).toEqual(['s2']);
  expect(await ids({ search: '0%' })).toEqual(['s1']);
  expect(await ids({ search: 'x_t' })).toEqual(['s3']);
  expect(await ids({ project: '/ws' })).toEqual(['s1', 's2']);
  expect(await ids({ project: '/ws', search: 'FIX' })).toEqual(['s1']);
  const first = await sessions.list({ limit: 2 });
  expect(first.sessions.map(({ title }) => title)).toEqual(['Fix 100% of it', 'Fix_the_build']);
  expect(await ids({ limit: 2, cursor: first.nextCursor ?? '' })).toEqual(['s2']);
});

it('a session is named by its first message, unless it has a title; a fork keeps it', async () => {
  const { sessions } = story.stack.client();
  const session = await sessions.create();
  for (const message of ['Why is\nthe build red?', 'And now?']) {
    const run = session.send(message);
    await (await story.provider.next()).finish();
    await run.finished();
  }
  const fork = await session.fork();
  expect([(await sessions.get(session.id)).info.title, fork.info.title]).toEqual([
    'Why is the build red?',
    'Why is the build red?',
  ]);
});

it('the model is told where the client of a session works, the same at each step, also after a restart and in a fork', async () => {
  const environment = { folder: '/ws/shop', system: 'Linux 6.1 x64', date: '2026-11-28', instructions: 'Use tabs.' };
  const session = await story.stack.client({ environment: () => environment }).sessions.create();
  const told = async (of: typeof session) => {
    const run = of.send('Hello');
    const step = await story.provider.next();
    await step.finish();
    await run.finished();
    return step.body.messages[0].content;
  };
  const first = await told(session);
  expect(first).toContain('Folder: /ws/shop\nOperating system: Linux 6.1 x64\nDate: 2026-11-28\n');
  expect(first).toContain('<instructions from="AGENTS.md">\nUse tabs.\n</instructions>');
  await story.stack.restartRuntime();
  expect(await told(session)).toBe(first);
  expect(await told(await session.fork())).toBe(first);
});
