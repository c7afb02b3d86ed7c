// `npm run chat`: talks to the agent from the terminal, through the SDK. Needs running services (`npm start`).
import { createInterface } from 'node:readline';
import { build, install } from './setup.mjs';

install();
build();
const { createClient } = await import('../packages/sdk/dist/index.js');
const url = process.env.CODELAB_URL ?? 'http://localhost:8000';
const token = process.env.CODELAB_TOKEN;
const client = createClient({ url, timeoutMs: 10_000, ...(token === undefined ? {} : { token }) });

try {
  const session = await client.sessions.create({ title: 'npm run chat' });
  // Not before somebody listens: what was typed ahead would be lost.
  const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' });
  process.stdout.write(`Session ${session.id} at ${url}. Empty line or Ctrl+D ends; Ctrl+C stops an answer.\n`);
  let run;
  terminal.on('SIGINT', () => (run === undefined ? terminal.close() : run.cancel()));
  terminal.prompt();
  for await (const line of terminal) {
    if (line.trim() === '') break;
    run = session.send(line);
    try {
      for await (const text of run.textStream) process.stdout.write(text);
    } catch (error) {
      process.stdout.write(`\n[${error.code ?? 'error'}] ${error.message}`);
    }
    run = undefined;
    process.stdout.write('\n');
    terminal.prompt();
  }
  terminal.close();
} catch (error) {
  process.stderr.write(`[${error.code ?? 'error'}] ${error.message}\n`);
  process.exitCode = 1;
} finally {
  client.close();
}
