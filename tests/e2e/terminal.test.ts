import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { workspaceTools } from '../../packages/sdk/src/node/index.ts';
import { chat } from '../../scripts/chat-loop.mjs';
import { prettyLines } from '../../scripts/log-lines.mjs';
import { useStory } from '../support/story.ts';

const story = useStory();

const HOSTILE = [
  '\u001b[2J', // clears the screen
  '\u001b]0;title\u0007', // sets the title
  '\u001b]52;c;cm0gLXJmIC8=\u001b\\', // writes the clipboard
  '\u009b31m', // the same with one character
  '\u001bc', // resets
  '\b\b\r\u0007\u0000\u007f',
];
// biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be there
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
const hostile = `one${HOSTILE.join('')}two\n\tthree \u202eexe.txt`;

/** A conversation on streams, and all that it has written. */
function talk(folder?: string) {
  const input = new PassThrough();
  const output = new PassThrough();
  const client = story.stack.client(folder === undefined ? {} : { tools: workspaceTools({ folder }) });
  let written = '';
  const waiting = new Set<() => void>();
  output.on('data', (data: Buffer) => {
    written += data.toString('utf8');
    for (const look of waiting) look();
  });
  return {
    say: (line: string) => input.write(`${line}\n`),
    ended: chat({ client, url: story.stack.front.url, folder, agent: undefined, input, output }),
    text: () => written,
    until: (part: string) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!written.includes(part)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

it('npm run chat shows a model, and an error, nothing but text', async () => {
  const { say, ended, text, until } = talk();
  say('hello');
  const first = await story.provider.next();
  await first.text(hostile);
  for (const part of hostile) await first.text(part);
  await first.finish();
  await until('<U+202E>exe.txt\n');
  say('and again');
  const second = await story.provider.next();
  second.json({ error: { message: `no ${hostile}` } }, 400);
  await until('[');
  say('');
  await ended;
  expect(text()).toContain('onetwo\n\tthree <U+202E>exe.txt');
  expect(text()).not.toMatch(CONTROLS);
});

it('npm run chat asks for a call in nothing but text, and offers always where there is one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'codelab-chat-'));
  try {
    const { say, ended, text, until } = talk(folder);
    say('hello');
    const first = await story.provider.next();
    await first.tools(
      { name: 'run_command', args: { command: `true # ${hostile}` } },
      { name: 'write_file', args: { path: '.env', content: '' } },
      {
        name: 'apply_patch',
        args: { patch: `--- /dev/null\n+++ b/x${'\u001b[31m'}y\n@@ -0,0 +1,1 @@\n+${'\u001b[2J'}z\n` },
      },
    );
    await first.finish('tool_calls');
    await until('[a]lways for just this in this session');
    say('not that');
    await until('[y]es, or say why not');
    say('not that');
    await until('[a]lways in this session');
    say('not that');
    await (await story.provider.next()).finish();
    await until('> ');
    say('');
    await ended;
    expect(text()).toContain('xy\n@@');
    expect(text()).not.toMatch(CONTROLS);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('npm start shows the logs as nothing but text', async () => {
  const stream = new PassThrough();
  const shown: string[] = [];
  prettyLines(stream, (line: string) => shown.push(line));
  const error = { type: 'Error', message: hostile, stack: `Error: ${hostile}` };
  stream.write(`${JSON.stringify({ level: 'error', time: 1, msg: hostile, model: hostile, err: error })}\n`);
  stream.write(`cannot start: ${HOSTILE.join('')}\n`);
  stream.end(`{not json ${HOSTILE.join('')}\n`);
  await new Promise((resolve) => stream.once('close', resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(shown.join('\n')).toContain('onetwo');
  expect(shown.join('\n')).toContain('cannot start:');
  expect(shown.join('\n')).not.toMatch(CONTROLS);
});
