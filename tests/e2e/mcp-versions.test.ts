import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Session } from '../../packages/sdk/src/index.ts';
import { conversationOf, type FakeProvider, startFakeProvider } from '../support/fake-provider.ts';
import { type McpHttpServer, startModernMcpServer, startOldMcpServer } from '../support/mcp-servers.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

const script = fileURLToPath(new URL('../support/mcp-server.mjs', import.meta.url));
const oldScript = fileURLToPath(new URL('../support/old-mcp-server.mjs', import.meta.url));
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
let folder: string;
let provider: FakeProvider;
let stack: Stack;
let remote: McpHttpServer[];
let session: Session;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'codelab-mcp-'));
  provider = await startFakeProvider();
  remote = await Promise.all([startOldMcpServer(), startModernMcpServer()]);
  const local = (...args: string[]) => ({ command: process.execPath, args });
  const servers = {
    old: local(oldScript, join(folder, 'old')),
    both: local(script, 'both', join(folder, 'both')),
    modern: local(script, 'modern', join(folder, 'modern')),
    old_http: { url: remote[0]?.url },
    modern_http: { url: remote[1]?.url },
  };
  const mcpServers = Object.fromEntries(
    Object.entries(servers).map(([name, server]) => [name, { ...server, trustAnnotations: true }]),
  );
  const file = join(folder, 'mcp.json');
  await writeFile(file, JSON.stringify({ mcpServers }));
  stack = await startStack({ providerUrl: provider.url, variables: { AGENT_RUNTIME__MCP_CONFIG: file } });
});
beforeEach(async () => {
  session = await stack.client().sessions.create();
});
afterAll(async () => {
  await stack.close();
  await provider.close();
  for (const server of remote) server.close();
  await rm(folder, { recursive: true, force: true });
});

async function ready(name: string): Promise<void> {
  for (;;) {
    const headers = { 'x-internal-auth': keys.gateway };
    const response = await fetch(`${stack.gateway.url}/api/v1/sessions/${session.id}/tools`, { headers });
    const { tools } = (await response.json()) as { tools: Array<{ name: string }> };
    if (tools.some((tool) => tool.name === name)) return;
    await pause();
  }
}

/** Lets the model make one call, and returns the run. */
async function startCall(name: string, args: object = {}) {
  const run = session.send('go');
  const call = await provider.next();
  await call.tools({ name, args });
  await call.finish('tool_calls');
  return run;
}

async function callTool(name: string, args: object = {}): Promise<string> {
  const run = await startCall(name, args);
  const next = await provider.next();
  await next.finish();
  await run.finished();
  return conversationOf(next).at(-1)?.content as string;
}

describe.each([
  ['of the first generation, a process', 'old'],
  ['of the second generation, a process', 'both'],
  ['without a handshake, a process', 'modern'],
  ['of the first generation, over HTTP', 'old_http'],
  ['without a handshake, over HTTP', 'modern_http'],
])('an MCP server %s,', (_, server) => {
  it('is called, says how far it is, and has its changes noticed', async () => {
    await ready(`${server}_echo`);
    expect(await callTool(`${server}_echo`, { text: 'hi' })).toMatch(/^\d+ hi$/);
    expect(await callTool(`${server}_fail`)).toBe('out of paper');
    expect(await callTool(`${server}_paint`)).toContain('look:\n[image: image/png, 72 bytes]\nwith a brush');
    const run = await startCall(`${server}_report`, { times: 2, every: 50 });
    for await (const event of session.events({ from: 'start' }))
      if (event.type === 'tool.progress' && event.message === 'part 1') break;
    const next = await provider.next();
    expect(conversationOf(next).at(-1)?.content).toBe('reported');
    await next.finish();
    await run.finished();
    await callTool(`${server}_grow`);
    await ready(`${server}_grown`);
    expect(await callTool(`${server}_grown`)).toBe('grown');
  });

  it('is told that a call is cancelled, and was started once', async () => {
    const file = join(folder, `${server} noted`);
    const run = await startCall(`${server}_note`, { file });
    // Only the file system says so.
    while (!existsSync(file)) await pause();
    await run.cancel();
    expect(await run.finished()).toMatchObject({ status: 'cancelled' });
    while (readFileSync(file, 'utf8') !== 'begun\nstopped\n') await pause();
    const starts = join(folder, server);
    if (!server.endsWith('http')) expect(readFileSync(starts, 'utf8')).toMatch(/^\d+\n$/);
  });
});
