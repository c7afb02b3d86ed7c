// The tools of the tests' MCP servers, whichever generation of the packages serves them.
import { appendFileSync, existsSync } from 'node:fs';
import { z } from 'zod';

const text = (value) => ({ content: [{ type: 'text', text: value }] });
const annotations = { readOnlyHint: true };
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a call knows of its request: it stands in different places in the two generations. */
const requestOf = (extra) => ({ ...extra, notify: extra.sendNotification, ...extra.mcpReq });

/**
 * Registers the tools. `state` is shared by the servers of one process; `onGrown` is called when it has another tool.
 * @param {{ isGrown: boolean }} [state]
 * @param {() => void} [onGrown]
 */
export function registerTools(server, state = { isGrown: false }, onGrown) {
  const grown = () => server.registerTool('grown', { annotations }, () => text('grown'));
  server.registerTool(
    'echo',
    { description: 'Says it again', inputSchema: z.object({ text: z.string() }), annotations },
    ({ text: said }) => text(`${process.pid} ${said}`),
  );
  server.registerTool('hang', { description: 'Never answers', annotations }, () => new Promise(() => {}));
  server.registerTool(
    'note',
    {
      description: 'Notes that it began, and that it was stopped',
      inputSchema: z.object({ file: z.string() }),
      annotations,
    },
    ({ file }, extra) => {
      requestOf(extra).signal.addEventListener('abort', () => appendFileSync(file, 'stopped\n'));
      appendFileSync(file, 'begun\n');
      return new Promise(() => {});
    },
  );
  server.registerTool(
    'wait',
    {
      description: 'Notes that it began, and waits for a file',
      inputSchema: z.object({ begun: z.string(), file: z.string() }),
      annotations,
    },
    async ({ begun, file }) => {
      appendFileSync(begun, 'begun\n');
      while (!existsSync(file)) await pause(10);
      return text('waited');
    },
  );
  server.registerTool('die', { description: 'Dies', annotations }, () => process.exit(1));
  server.registerTool('fail', { description: 'Fails', annotations }, () => ({
    ...text('out of paper'),
    isError: true,
  }));
  server.registerTool('grow', { description: 'Gets another tool', annotations }, () => {
    state.isGrown = true;
    if (onGrown === undefined) grown();
    else onGrown();
    return text('done');
  });
  server.registerTool(
    'report',
    {
      description: 'Says how far it is, so many times',
      inputSchema: z.object({ times: z.number(), every: z.number() }),
      annotations,
    },
    async ({ times, every }, extra) => {
      const { _meta, notify } = requestOf(extra);
      for (let progress = 1; progress <= times; progress++) {
        await pause(every);
        const params = { progressToken: _meta?.progressToken, progress, total: times, message: `part ${progress}` };
        await notify({ method: 'notifications/progress', params });
      }
      return text('reported');
    },
  );
  server.registerTool('paint', { description: 'Paints', annotations }, () => ({
    content: [
      { type: 'text', text: 'look:' },
      { type: 'image', mimeType: 'image/png', data: png },
      { type: 'resource', resource: { uri: 'paint:brush', mimeType: 'text/plain', text: 'with a brush' } },
    ],
    structuredContent: { colours: 2 },
  }));
  server.registerTool('change', { description: 'Changes something' }, () => text('changed'));
  if (state.isGrown) grown();
  return server;
}

/** Notes the start of a process in a file, if there is one. */
export function noteStart(file) {
  if (file !== undefined) appendFileSync(file, `${process.pid}\n`);
}
