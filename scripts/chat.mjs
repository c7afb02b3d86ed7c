// `npm run chat`: talks to the agent from the terminal, through the SDK. Needs running services (`npm start`).
// `npm run chat -- --folder .`: the agent's tools work in that folder; what changes something is asked for here.
import { parseArgs } from 'node:util';
import { chat } from './chat-loop.mjs';
import { build, install } from './setup.mjs';
import { toTerminal } from './terminal-text.mjs';

install();
build();
const { createClient } = await import('../packages/sdk/dist/index.js');
const { folder, agent } = parseArgs({ options: { folder: { type: 'string' }, agent: { type: 'string' } } }).values;
const url = process.env.CODELAB_URL ?? 'http://localhost:8000';
const token = process.env.CODELAB_TOKEN;
const client = createClient({
  url,
  timeoutMs: 10_000,
  ...(token === undefined ? {} : { token }),
  ...(folder === undefined ? {} : await workspaceOf(folder)),
});

async function workspaceOf(workspace) {
  const { workspaceTools, workspaceEnvironment } = await import('../packages/sdk/dist/node.js');
  return {
    tools: workspaceTools({ folder: workspace }),
    environment: () => workspaceEnvironment({ folder: workspace }),
  };
}

try {
  await chat({ client, url, folder, agent, input: process.stdin, output: process.stdout });
} catch (error) {
  process.stderr.write(toTerminal(`[${error.code ?? 'error'}] ${error.message}\n`));
  process.exitCode = 1;
} finally {
  client.close();
}
