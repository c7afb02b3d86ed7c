import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startStack } from '../support/stack.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'codelab-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it.each(['Мой проект, копия', '100% #1', 'a%20b'])(
  'sessions are kept in the file that is named, in a folder "%s"',
  async (name) => {
    const file = join(folder, name, 'agent-runtime.db');
    const stack = await startStack({ variables: { AGENT_RUNTIME__DATABASE_URL: `file:${file}` } });
    try {
      const session = await stack.client().sessions.create();
      await session.send('Привет', { model: 'builtin/echo' }).finished();
      expect(existsSync(file)).toBe(true);
    } finally {
      await stack.close();
    }
  },
);
