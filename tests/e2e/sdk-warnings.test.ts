import { expect, it } from 'vitest';
import { tool } from '../../packages/sdk/src/index.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

it('a client that watches many sessions puts no warning into the console of its host', async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error) => warnings.push(`${warning.name}: ${warning.message}`);
  process.on('warning', onWarning);
  try {
    const echo = tool({ description: 'x', input: { type: 'object' }, execute: () => 'x' });
    const client = story.stack.client({ tools: { echo } });
    const sessions = await Promise.all(Array.from({ length: 30 }, () => client.sessions.create()));
    const watching = sessions.map(async (session) => {
      session.onApproval(async () => undefined);
      const run = session.send('Hello');
      for await (const event of session.events({ from: 'start' })) if (event.type === 'run.finished') break;
      await run.finished();
    });
    for (let i = 0; i < sessions.length; i++) {
      const call = await story.provider.next();
      await call.text('Hi.');
      await call.finish();
    }
    await Promise.all(watching);
    // Warnings are told a turn later.
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  } finally {
    process.off('warning', onWarning);
  }
});
