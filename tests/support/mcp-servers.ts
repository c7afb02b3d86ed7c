import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer as OldMcpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { registerTools } from './mcp-tools.mjs';

export interface McpHttpServer {
  url: string;
  close(): void;
}

async function listen(path: string, listener: RequestListener): Promise<McpHttpServer> {
  const http = createServer(listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}${path}`,
    close() {
      http.closeAllConnections();
      http.close();
    },
  };
}

/** An MCP server of the transport before streamable HTTP. */
export function startSseServer(): Promise<McpHttpServer> {
  const transports = new Map<string, SSEServerTransport>();
  return listen('/sse', async (request, response) => {
    const transport = transports.get(new URL(request.url ?? '', 'http://x').searchParams.get('sessionId') ?? '');
    if (transport !== undefined) return transport.handlePostMessage(request, response);
    if (request.method !== 'GET') return void response.writeHead(405).end();
    const opened = new SSEServerTransport('/message', response);
    transports.set(opened.sessionId, opened);
    const server = new OldMcpServer({ name: 'old', version: '1.0.0' });
    server.registerTool('old', {}, () => ({ content: [{ type: 'text', text: 'old, but fine' }] }));
    await server.connect(opened);
  });
}

/** An MCP server of the first generation of the packages over streamable HTTP, with sessions. */
export function startOldMcpServer(): Promise<McpHttpServer> {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  return listen('/mcp', async (request, response) => {
    const id = request.headers['mcp-session-id'];
    let transport = transports.get(String(id));
    if (id !== undefined && transport === undefined) return void response.writeHead(404).end();
    if (transport === undefined) {
      const opened = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (sessionId) => void transports.set(sessionId, opened),
      });
      transport = opened;
      await registerTools(new OldMcpServer({ name: 'old', version: '1.0.0' })).connect(opened);
    }
    await transport.handleRequest(request, response);
  });
}

/** An MCP server over streamable HTTP that refuses the handshake of older clients. */
export function startModernMcpServer(): Promise<McpHttpServer> {
  const state = { isGrown: false };
  const handler = createMcpHandler(
    () =>
      registerTools(new McpServer({ name: 'modern', version: '1.0.0' }), state, () => handler.notify.toolsChanged()),
    { legacy: 'reject' },
  );
  const serve = toNodeHandler(handler);
  return listen(
    '/mcp',
    (request: IncomingMessage, response) => void serve(request as NodeIncomingMessageLike, response),
  );
}
