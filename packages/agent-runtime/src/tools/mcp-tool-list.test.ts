import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLogger } from '@codelab/service-kit';
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { expect, it } from 'vitest';
import { connectMcp } from './mcp-connect.ts';
import { watchTools } from './mcp-tool-list.ts';

const log = createLogger({ service: 'test', level: 'silent' });

const serve = (...names: string[]) =>
  createMcpHandler(
    () => {
      const server = new McpServer({ name: 'test', version: '1.0.0' });
      for (const name of names) server.registerTool(name, {}, () => ({ content: [] }));
      return server;
    },
    { legacy: 'reject' },
  );

it('a server without a handshake is listened to again when it ends the stream, and missed when it is gone', async () => {
  let handler = serve('first');
  const http = createServer((request, response) => {
    void toNodeHandler(handler)(request as NodeIncomingMessageLike, response);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`;
  const client = await connectMcp({ url, headers: {}, disabled: false, trustAnnotations: false }, log);
  const seen: string[] = [];
  try {
    const { check } = await watchTools(client, async (tools) => void seen.push(tools.map(({ name }) => name).join()));
    expect(seen).toEqual(['first']);
    handler.notify.toolsChanged();
    await expect.poll(() => seen.length).toBe(2);
    const last = handler;
    handler = serve('first', 'second');
    await last.close();
    await expect.poll(() => check().then(() => seen.at(-1))).toBe('first,second');
    const listed = seen.length;
    await check();
    expect(seen).toHaveLength(listed);
    handler.notify.toolsChanged();
    await expect.poll(() => seen.length).toBe(listed + 1);
    http.closeAllConnections();
    http.close();
    await expect(check()).rejects.toThrow();
  } finally {
    await client.close();
    http.closeAllConnections();
    http.close();
  }
});
