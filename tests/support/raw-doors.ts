import { on } from 'node:events';
import { createTRPCClient, createWSClient, httpLink, type TRPCClient, wsLink } from '@trpc/client';
import superjson from 'superjson';
import { WebSocket } from 'ws';
import type { GatewayRouter } from '../../packages/gateway/src/router.ts';
import { keys, type Stack } from './stack.ts';

/** A call of a procedure of gateway's, its input and its result as JSON text: nothing on this side can mend or lose any of it. */
export interface RawDoor {
  name: string;
  call(stack: Stack, procedure: string, type: 'query' | 'mutation', input: string): Promise<RawAnswer>;
}

export interface RawAnswer {
  /** The result, parsed; undefined where there was an error. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever the procedure answers; tests look into it
  result?: any;
  error?: { code: string; message: string; requestId: string };
}

const headers = { 'x-internal-auth': keys.gateway, 'content-type': 'application/json' };

function toAnswer({ result, error }: { result?: { data: { json: unknown } }; error?: { json: { data: never } } }) {
  return error === undefined ? { result: result?.data.json } : { error: error.json.data as RawAnswer['error'] };
}

const trpcWebSocket: RawDoor = {
  name: 'tRPC over WebSocket',
  async call(stack, path, method, input) {
    const socket = new WebSocket(`${stack.gateway.url.replace('http', 'ws')}/trpc`, { headers });
    const messages = on(socket, 'message');
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    socket.send(`{"id":7,"method":"${method}","params":{"path":"${path}","input":{"json":${input}}}}`);
    const answer = JSON.parse(String((await messages.next()).value[0]));
    socket.close();
    if (answer.id !== 7) throw new Error(`the answer names no call: ${JSON.stringify(answer)}`);
    return toAnswer(answer) as RawAnswer;
  },
};

const trpcHttp: RawDoor = {
  name: 'tRPC over HTTP',
  async call(stack, path, method, input) {
    const body = `{"json":${input}}`;
    const url = `${stack.gateway.url}/trpc/${path}`;
    const response =
      method === 'query'
        ? await fetch(`${url}?input=${encodeURIComponent(body)}`, { headers })
        : await fetch(url, { method: 'POST', headers, body });
    return toAnswer((await response.json()) as never) as RawAnswer;
  },
};

const REST: Record<string, { method: string; path: (input: Record<string, string>) => string }> = {
  'session.create': { method: 'POST', path: () => '/sessions' },
  'session.update': { method: 'PATCH', path: ({ sessionId }) => `/sessions/${sessionId}` },
  'session.get': { method: 'GET', path: ({ sessionId }) => `/sessions/${sessionId}` },
  'session.list': { method: 'GET', path: () => '/sessions' },
  'session.items': { method: 'GET', path: ({ sessionId }) => `/sessions/${sessionId}/items` },
  'tool.announce': { method: 'PUT', path: ({ sessionId }) => `/sessions/${sessionId}/tools` },
  'tool.list': { method: 'GET', path: ({ sessionId }) => `/sessions/${sessionId}/tools` },
  'tool.result': { method: 'POST', path: ({ sessionId, callId }) => `/sessions/${sessionId}/calls/${callId}/result` },
  'approval.list': { method: 'GET', path: ({ sessionId }) => `/sessions/${sessionId}/approvals` },
  'approval.decide': { method: 'POST', path: ({ sessionId, callId }) => `/sessions/${sessionId}/approvals/${callId}` },
};

const rest: RawDoor = {
  name: 'REST',
  async call(stack, procedure, _type, input) {
    const route = REST[procedure];
    if (route === undefined) throw new Error(`no route for ${procedure}`);
    const fields = JSON.parse(input) as Record<string, string>;
    const query = route.method === 'GET' && fields.limit !== undefined ? `?limit=${fields.limit}` : '';
    const response = await fetch(`${stack.gateway.url}/api/v1${route.path(fields)}${query}`, {
      method: route.method,
      headers,
      ...(route.method === 'GET' ? {} : { body: input }),
    });
    const body = (await response.json()) as { error?: RawAnswer['error'] };
    return response.ok ? { result: body } : { error: body.error as NonNullable<RawAnswer['error']> };
  },
};

export const rawDoors: RawDoor[] = [trpcWebSocket, trpcHttp, rest];

/** tRPC's client with the real `superjson`, as somebody has it who knows nothing of ours. */
export function stockClient(stack: Stack, over: 'ws' | 'http'): { trpc: TRPCClient<GatewayRouter>; close(): void } {
  if (over === 'http') {
    const link = httpLink({ url: `${stack.gateway.url}/trpc`, transformer: superjson, headers });
    return { trpc: createTRPCClient<GatewayRouter>({ links: [link] }), close: () => {} };
  }
  const client = createWSClient({
    url: `${stack.gateway.url.replace('http', 'ws')}/trpc`,
    WebSocket: WebSocket as never,
    connectionParams: { token: keys.gateway },
  });
  return {
    trpc: createTRPCClient<GatewayRouter>({ links: [wsLink({ client, transformer: superjson })] }),
    close: () => client.close(),
  };
}
