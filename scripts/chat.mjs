// `npm run chat`: talks to the agent from the terminal, through the SDK. Needs running services (`npm start`).
// `npm run chat -- --folder .`: the agent's tools work in that folder; what changes something is asked for here.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { build, install } from './setup.mjs';

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
  ...(folder === undefined ? {} : { tools: await toolsOf(folder) }),
});

async function toolsOf(workspace) {
  const { workspaceTools } = await import('../packages/sdk/dist/node.js');
  return workspaceTools({ folder: workspace });
}

/** Shows what the agent does with its tools, and asks for what needs a yes. */
function showTools(session, terminal) {
  const ask = (question, signal) => new Promise((resolve) => terminal.question(question, { signal }, resolve));
  session.onApproval(async ({ name, arguments: args, changes, reason }, { signal }) => {
    const shown = changes?.flatMap(({ path, hunks }) => [
      path,
      ...hunks.flatMap(({ header, lines }) => [header, ...lines]),
    ]);
    process.stdout.write(`\n${name} ${shown?.join('\n') ?? JSON.stringify(args)}\n`);
    const answer = await ask(`${reason} Allow it? [y]es, [a]lways in this session, or say why not: `, signal);
    if (/^a(lways)?$/i.test(answer)) return { decision: 'allow', scope: 'session' };
    if (/^y(es)?$/i.test(answer)) return { decision: 'allow' };
    return { decision: 'reject', feedback: answer };
  });
  const follow = async () => {
    for await (const event of session.events()) {
      if (event.type === 'tool.requested')
        process.stdout.write(`\n[${event.name} ${JSON.stringify(event.arguments).slice(0, 200)}]\n`);
      if (event.type === 'agent.switched') process.stdout.write(`\n[${event.to} goes on]\n`);
    }
  };
  follow().catch(() => {});
}

try {
  const session = await client.sessions.create({ title: 'npm run chat', ...(agent === undefined ? {} : { agent }) });
  // Not before somebody listens: what was typed ahead would be lost.
  const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' });
  process.stdout.write(`Session ${session.id} at ${url}. Empty line or Ctrl+D ends; Ctrl+C stops an answer.\n`);
  if (folder !== undefined) showTools(session, terminal);
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
