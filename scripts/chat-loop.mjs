// The conversation of `npm run chat`, on any streams.
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { toTerminal } from './terminal-text.mjs';

/**
 * Talks to the agent until the input ends, or has an empty line. Throws what the client throws where there is no session to be had.
 * @param {object} options
 * @param {import('../packages/sdk/src/index.ts').Client} options.client
 * @param {string} options.url
 * @param {string} [options.folder] where the agent's tools work
 * @param {string} [options.agent]
 * @param {NodeJS.ReadableStream} options.input
 * @param {NodeJS.WritableStream} options.output
 */
export async function chat({ client, url, folder, agent, input, output }) {
  /** @param {string} text */
  const write = (text) => output.write(toTerminal(text));
  const session = await client.sessions.create({
    title: 'npm run chat',
    ...(agent === undefined ? {} : { agent }),
    // Rules and the agent may then name its files from the top.
    ...(folder === undefined ? {} : { project: resolve(folder).slice(0, 500) }),
  });
  // Not before somebody listens: what was typed ahead would be lost.
  const terminal = createInterface({ input, output, prompt: '> ' });
  write(`Session ${session.id} at ${url}. Empty line or Ctrl+D ends; Ctrl+C stops an answer.\n`);
  if (folder !== undefined) showTools(session, terminal, write);
  let run;
  terminal.on('SIGINT', () => (run === undefined ? terminal.close() : run.cancel()));
  terminal.prompt();
  for await (const line of terminal) {
    if (line.trim() === '') break;
    run = session.send(line);
    try {
      for await (const text of run.textStream) write(text);
    } catch (error) {
      write(`\n[${error.code ?? 'error'}] ${error.message}`);
    }
    run = undefined;
    write('\n');
    terminal.prompt();
  }
  terminal.close();
}

/**
 * Shows what the agent does with its tools, and asks for what needs a yes.
 * @param {import('../packages/sdk/src/index.ts').Session} session
 * @param {import('node:readline').Interface} terminal
 * @param {(text: string) => void} write
 */
function showTools(session, terminal, write) {
  /** Has the answer of the person; undefined once somebody else has decided. */
  const ask = (question, signal) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
      terminal.question(toTerminal(question), { signal }, resolve);
    });
  const decide = async ({ name, arguments: args, reason, options }, changes, signal) => {
    if (signal.aborted) return undefined;
    write(`\n${name} ${changes?.flatMap(linesOf).join('\n') ?? JSON.stringify(args)}\n`);
    const answer = await ask(`${reason} Allow it? [y]es, ${alwaysOf(options)}or say why not: `, signal);
    if (answer === undefined) return undefined;
    if (/^a(lways)?$/i.test(answer)) return { decision: 'allow', scope: 'session' };
    if (/^y(es)?$/i.test(answer)) return { decision: 'allow' };
    return { decision: 'reject', feedback: answer };
  };
  // A terminal has room for one question at a time.
  let last = Promise.resolve();
  session.onApproval((request, { changes, signal }) => {
    const foreseen = changes();
    const turn = last.then(async () => decide(request, await foreseen, signal));
    last = turn.catch(() => {});
    return turn;
  });
  const follow = async () => {
    for await (const event of session.events()) {
      if (event.type === 'tool.requested')
        write(`\n[${event.name} ${JSON.stringify(event.arguments).slice(0, 200)}]\n`);
      if (event.type === 'agent.switched') write(`\n[${event.to} goes on]\n`);
    }
  };
  follow().catch(() => {});
}

/**
 * A change of a file, as a person reads it.
 * @param {import('../packages/sdk/src/index.ts').FileChange} change
 */
function linesOf({ path, change, hunks, omitted }) {
  const why = omitted === undefined ? [] : [`[${omitted}]`];
  return [`${change} ${path}`, ...why, ...hunks.flatMap(({ header, lines }) => [header, ...lines])];
}

/**
 * What a yes for the rest of the session would stand for; nothing where there is none.
 * @param {import('../packages/sdk/src/index.ts').Approval['options']} options
 */
function alwaysOf(options) {
  const session = options.find(({ scope }) => scope === 'session');
  if (session === undefined) return '';
  return session.resource === '**' ? '[a]lways in this session, ' : '[a]lways for just this in this session, ';
}
