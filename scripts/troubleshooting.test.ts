import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from './setup.mjs';

const page = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8');

/** Messages of programs of others, of the modules of others, and commands. */
const BY_OTHERS = [
  'Terminate batch job (Y/N)?',
  'env_file … must be a string',
  'Unable to open … /data/agent-runtime.db',
];

/** Yields the sources of programs: their texts have `…` for what is put in, and stand in one piece. */
function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && !/^(node_modules|dist)$/.test(entry.name)) yield* sources(path);
    if (entry.isFile() && /(?<!\.test)\.(ts|js|mjs)$/.test(entry.name))
      yield readFileSync(join(root, path), 'utf8')
        .replace(/\$\{[^}]*\}/g, '…')
        .replace(/['`] \+\s+['`]/g, '');
  }
}

const texts = [...sources('packages'), ...sources('scripts')];
/** What is seen stands in the first column, or before “in the log”; a message has more than one word. */
const seen = page
  .split('\n')
  .filter((line) => line.startsWith('| ') || line.includes('in the log'))
  .map((line) => (line.startsWith('| ') ? (line.split(' | ')[0] ?? '') : line));
const messages = seen
  .flatMap((text) => [...text.matchAll(/`([^`]+)`/g)].map(([, message = '']) => message))
  .filter((message) => message.includes(' '));

it('docs/troubleshooting.md quotes messages', () => {
  expect(messages.length).toBeGreaterThan(20);
});

it.each(messages.filter((message) => !BY_OTHERS.includes(message)))('a program says: %s', (message) => {
  const parts = message.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  // What differs may be left out, as in a name with a setting's prefix, or come of several values.
  const pattern = new RegExp(parts.join('[^\\n]{0,80}'));
  expect(texts.filter((text) => pattern.test(text)).length).toBeGreaterThan(0);
});

it.each(BY_OTHERS)('others say: %s', (message) => {
  expect(messages).toContain(message);
});
