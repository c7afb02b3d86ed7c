import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client';
import superjson from 'superjson';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startFakeProvider } from '../support/fake-provider.ts';
import { keys, type Stack, startStack } from '../support/stack.ts';

// A provider that repeats all it knows in each kind of failure: its key, what the person said, what it was about to answer. Logs have none
// of it, at any level; whoever asked gets no secret, and of the provider's words only those about the request.

const KEY = 'sk-provider-SECRETKEY/0123+456789';
const HEADER = 'header-SECRET-abcdef0123';
const TEAM = 'virtual-key-of-the-team-42';
const TOKEN = 'redirect-SECRET-98765';
const SECRETS = [KEY, encodeURIComponent(KEY), 'SECRETKEY', HEADER, TOKEN, TEAM, keys.llmProxy];
const PERSON = 'PATIENT-JOHN-DOE';
const ANSWER = 'LEAKED-ANSWER-OF-THE-MODEL';
const WORDS = [PERSON, ANSWER];

type Act = (response: ServerResponse, request: IncomingMessage) => void;
interface Failure {
  name: string;
  act: Act;
  /** Whether it is about the request, so that whoever asked may read the provider's words. */
  isOfRequest?: boolean;
}

const all = `Incorrect API key provided: Bearer ${KEY} (${encodeURIComponent(KEY)}, ${JSON.stringify(KEY)}), x-gateway: ${HEADER}, input_value='${PERSON}', ${ANSWER}`;
const answer =
  (status: number, type: string, body: string | Buffer, headers: Record<string, string> = {}): Act =>
  (response) => {
    response.writeHead(status, { 'content-type': type, ...headers });
    response.end(body);
  };
const fault = (message: unknown, more: object = {}) =>
  JSON.stringify({ type: 'error', error: { message, type: `t ${all}`, code: all, param: all, ...more } });
const stream = (...events: string[]): Act =>
  answer(200, 'text/event-stream', events.map((event) => `${event}\n\n`).join(''));

const statuses = [400, 402, 404, 408, 413, 422, 429, 500, 503, 529];
const failures: Failure[] = [
  ...[401, 403].flatMap((status) => [
    { name: `${status} with a fault`, act: answer(status, 'application/json', fault(all)) },
    { name: `${status} with text`, act: answer(status, 'text/plain', all) },
    { name: `${status} with a page`, act: answer(status, 'text/html', `<html><body>${all}</body></html>`) },
  ]),
  ...statuses.flatMap((status) => [
    { name: `${status} with a fault`, act: answer(status, 'application/json', fault(all)), isOfRequest: true },
    {
      name: `${status} with a long fault, that is cut within the key`,
      act: answer(status, 'application/json', fault(`${'x'.repeat(480)} ${all}`)),
      isOfRequest: true,
    },
    {
      name: `${status} with details`,
      act: answer(status, 'application/json', JSON.stringify({ detail: [{ msg: all, input: { [PERSON]: KEY } }] })),
      isOfRequest: true,
    },
    { name: `${status} with text`, act: answer(status, 'text/plain', all), isOfRequest: true },
    { name: `${status} with a page`, act: answer(status, 'text/html', `<html><body>${all}</body></html>`) },
    {
      name: `${status}, compressed`,
      act: answer(status, 'application/json', gzipSync(fault(all)), { 'content-encoding': 'gzip' }),
    },
    { name: `${status}, binary`, act: answer(status, 'application/octet-stream', gzipSync(all)) },
  ]),
  { name: '400 that is about the key', act: answer(400, 'application/json', fault(all, { code: 'invalid_api_key' })) },
  { name: 'a page in place of an answer', act: answer(200, 'text/html', `<html><body>${all}</body></html>`) },
  { name: 'JSON that is no answer', act: answer(200, 'application/json', JSON.stringify({ hello: all })) },
  { name: 'a fault with the status 200', act: answer(200, 'application/json', fault(all)), isOfRequest: true },
  { name: 'a stream labelled JSON', act: answer(200, 'application/json', `data: {"x":"${all}"}\n\n`) },
  { name: 'a compressed answer', act: answer(200, 'application/json', gzipSync(all), { 'content-encoding': 'gzip' }) },
  { name: 'a compressed stream', act: answer(200, 'text/event-stream', gzipSync(all), { 'content-encoding': all }) },
  { name: 'text in place of JSON', act: answer(200, 'text/plain', all) },
  { name: 'an event that is not JSON', act: stream(`data: ${all}`) },
  { name: 'an event that is no object', act: stream(`data: ${JSON.stringify(all)}`) },
  { name: 'a fault as an event', act: stream(`event: error\ndata: ${fault(all)}`), isOfRequest: true },
  {
    name: 'a fault as an event, of the key',
    act: stream(`event: error\ndata: ${fault(all, { type: 'authentication_error' })}`),
  },
  { name: 'a fault without words', act: stream(`event: error\ndata: ${JSON.stringify({ type: 'error', x: all })}`) },
  {
    name: 'what is not JSON in the middle of the answer',
    act: stream('data: {"choices":[{"index":0,"delta":{"content":"Hm"}}]}', `data: ${all}`),
  },
  {
    name: 'a fault of the key in the middle of the answer',
    act: stream(
      'data: {"choices":[{"index":0,"delta":{"content":"Hm"}}]}',
      `data: ${fault(all, { type: 'authentication_error' })}`,
    ),
  },
  { name: 'a stream that is cut', act: stream(`data: {"x":"${ANSWER}`) },
  {
    name: 'a redirect',
    act: answer(302, 'text/html', all, { location: `https://x.example/${ANSWER}?token=${TOKEN}` }),
  },
  {
    name: 'a redirect with a password',
    act: answer(307, 'text/html', all, { location: `https://user:${TOKEN}@x.example/?key=${encodeURIComponent(KEY)}` }),
  },
  { name: 'a redirect to the key', act: answer(301, 'text/html', all, { location: `https://${HEADER}.example/` }) },
  { name: 'a reset', act: (response) => response.destroy() },
  {
    name: 'what is not HTTP',
    act: (response) => {
      response.socket?.end(`HTTP/1.1 200 OK\r\n${all}\u0001: ${all}\r\n\r\n${all}`);
    },
  },
];

let folder: string;
let server: Server;
let stack: Stack;
let act: Act;
beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    request.on('end', () => act(response, request));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = `api_key_env: PROVIDER_KEY, headers: { x-gateway: ${HEADER} }`;
  folder = mkdtempSync(join(tmpdir(), 'no-secrets-'));
  writeFileSync(
    join(folder, 'config.yaml'),
    `providers:
  one: { base_url: ${url}/v1, ${settings} }
  two: { kind: anthropic, base_url: ${url}, ${settings} }
  nobody: { base_url: "http://127.0.0.1:1/${HEADER}", ${settings} }
models:
  one-after-one: { routes: [{ model: one/m }], fallbacks: [one/m] }
  two-after-two: { routes: [{ model: two/m }], fallbacks: [two/m] }
keys:
  team: { key_env: TEAM_KEY }
`,
  );
  stack = await startStack({
    logs: true,
    variables: {
      LLM_PROXY__CONFIG: join(folder, 'config.yaml'),
      LLM_PROXY__BREAKER_FAILURES: '0',
      PROVIDER_KEY: KEY,
      TEAM_KEY: TEAM,
    },
  });
});
afterAll(async () => {
  await stack.close();
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

/** All that a caller with a virtual key gets: the head and the body. */
async function ask(path: string, body: object): Promise<string> {
  const response = await fetch(stack.llmProxy.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEAM}` },
    body: JSON.stringify(body),
  });
  return JSON.stringify([...response.headers]) + (await response.text());
}

const messages = [{ role: 'user', content: PERSON }];
const asks: Array<[path: string, body: object]> = [
  ...['one-after-one', 'two-after-two', 'nobody/m'].flatMap(
    (model): Array<[string, object]> =>
      [true, false].flatMap(
        (streamed): Array<[string, object]> => [
          ['/v1/chat/completions', { model, stream: streamed, messages }],
          ['/v1/messages', { model, stream: streamed, messages, max_tokens: 9 }],
        ],
      ),
  ),
  ['/v1/embeddings', { model: 'one/e', input: PERSON }],
  ['/v1/messages/count_tokens', { model: 'two/m', messages }],
];

const none = (text: string, words: string[]) => {
  for (const word of words) expect(text).not.toContain(word);
};

it.each(failures)('$name: no secret is shown, and nothing is logged but what happened', async (failure) => {
  act = failure.act;
  for (const [path, body] of asks) {
    stack.logs.length = 0;
    const answered = await ask(path, body);
    none(answered, SECRETS);
    if (failure.isOfRequest !== true) none(answered, WORDS);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: binary is told by them
    expect(answered).not.toMatch(/[\u0000-\u0008\u000e-\u001f\ufffd]/);
    const logged = JSON.stringify(stack.logs);
    none(logged, [...SECRETS, ...WORDS]);
    expect(logged).toMatch(/"code":"[A-Z_]+"/);
  }
});

const begun: Record<string, string> = {
  one: 'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}\n\n',
  two:
    'event: message_start\ndata: {"type":"message_start","message":{"id":"m","content":[]}}\n\n' +
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hello"}}\n\n',
};

it.each([
  `: a comment of ${KEY}, ${HEADER}`,
  `data: ${JSON.stringify({ detail: all })}`,
  `data: ${JSON.stringify({ message: all })}`,
  `data: ${JSON.stringify({ type: 'error', message: all })}`,
  `data: ${JSON.stringify({ object: 'error', message: all, code: 500 })}`,
  `event: error\ndata: ${JSON.stringify({ message: all })}`,
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'error', error: { message: all } }] })}`,
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: all } }] })}`,
  `data: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: all } })}`,
  `data: ${JSON.stringify({ [all]: all })}`,
])('no secret is passed on in the middle of an answer: %#', async (event) => {
  for (const provider of ['one', 'two']) {
    act = stream(begun[provider] as string, 'data: {"choices":[]}', event, event);
    for (const path of ['/v1/chat/completions', '/v1/messages']) {
      const model = `${provider}/m`;
      const answered = await ask(path, { model, stream: true, messages, max_tokens: 9 });
      expect(answered).toContain('Hello');
      none(answered, SECRETS);
    }
  }
});

it('no secret is passed on in a whole answer, which is otherwise as it came', async () => {
  const told = { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: `A ${KEY} é ${HEADER} 1.0` } };
  act = answer(200, 'application/json', JSON.stringify({ choices: [told] }));
  const body = { model: 'one/m', messages };
  const answered = await ask('/v1/chat/completions', body);
  none(answered, SECRETS);
  expect(answered).toContain('A [redacted] é [redacted] 1.0');
  act = answer(200, 'application/json', JSON.stringify({ choices: [told], error: { message: all } }));
  none(await ask('/v1/chat/completions', body), SECRETS);
});

it('agent-runtime is told no secret either', async () => {
  const socket = createWSClient({
    url: `${stack.llmProxy.url.replace('http', 'ws')}/trpc`,
    WebSocket: WebSocket as never,
    connectionParams: { token: keys.llmProxy },
  });
  // biome-ignore lint/suspicious/noExplicitAny: this client has no types of its own
  const rpc = createTRPCClient<any>({ links: [wsLink({ client: socket, transformer: superjson as never })] }) as any;
  for (const { act: fail, isOfRequest = false } of failures) {
    act = fail;
    stack.logs.length = 0;
    const chunks: unknown[] = [];
    await new Promise<void>((resolve, reject) => {
      rpc.completion.stream.subscribe(
        { request: { model: 'one-after-one', messages } },
        { onData: ({ data }: { data: unknown }) => chunks.push(data), onComplete: resolve, onError: reject },
      );
    });
    const told = JSON.stringify(chunks);
    none(told, SECRETS);
    if (!isOfRequest) none(told, WORDS);
    expect(told).toContain('"type":"error"');
    none(JSON.stringify(stack.logs), [...SECRETS, ...WORDS]);
  }
  socket.close();
});

it('a provider that does not list its models says nothing in the log', async () => {
  act = answer(500, 'application/json', fault(all));
  stack.logs.length = 0;
  const response = await fetch(`${stack.llmProxy.url}/v1/models`, { headers: { authorization: `Bearer ${TEAM}` } });
  none(await response.text(), [...SECRETS, ...WORDS]);
  const logged = JSON.stringify(stack.logs);
  none(logged, [...SECRETS, ...WORDS]);
  expect(logged).toContain('the provider did not list its models');
});

it('MCP servers that repeat all they know: nothing of it is logged, and the model is told no key', async () => {
  const provider = await startFakeProvider();
  const file = join(folder, 'mcp.json');
  let hasFailed = false;
  const mcp = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString();
    const said = `${body} ${request.headers.authorization} ${request.url}`;
    const { id, method, params } = body === '' ? {} : JSON.parse(body);
    const fail = () => response.writeHead(500).end(said);
    const send = (result: object) =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    if (!hasFailed) {
      hasFailed = true;
      fail();
    } else if (method === 'initialize')
      send({
        protocolVersion: params.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'x', version: '1' },
      });
    else if (method === 'tools/list')
      send({ tools: ['throw', 'fail', 'say'].map((name) => ({ name, inputSchema: { type: 'object' } })) });
    else if (method !== 'tools/call') response.writeHead(202).end();
    else if (params.name === 'throw') fail();
    else send({ content: [{ type: 'text', text: said }], isError: params.name === 'fail' });
  });
  await new Promise<void>((resolve) => mcp.listen(0, '127.0.0.1', resolve));
  const { port } = mcp.address() as AddressInfo;
  const script = `process.stderr.write(process.env.KEY + ' ${PERSON}'); setTimeout(() => process.stdout.write('no JSON ' + process.env.KEY + '\\n'), 50)`;
  const mcpServers = {
    http: { url: `http://127.0.0.1:${port}/mcp?token=${TOKEN}`, headers: { authorization: `Bearer ${KEY}` } },
    user: { url: `http://user:${TOKEN}@127.0.0.1:1/mcp` },
    child: { command: process.execPath, args: ['-e', script], env: { KEY } },
  };
  writeFileSync(file, JSON.stringify({ mcpServers }));
  const own = await startStack({
    logs: true,
    providerUrl: provider.url,
    variables: { AGENT_RUNTIME__MCP_CONFIG: file },
  });
  const logged = async (text: string) => {
    while (!own.logs.some(({ msg }) => msg.includes(text))) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  try {
    await logged('connected to the MCP server');
    const session = await own.client().sessions.create();
    await session.rules.add({ tool: '*', effect: 'allow' });
    const run = session.send('go');
    const call = await provider.next();
    await call.tools(
      ...['http_throw', 'http_fail', 'http_say', 'user_any', 'child_any'].map((name) => ({
        name,
        args: { text: PERSON },
      })),
    );
    await call.finish('tool_calls');
    const next = await provider.next();
    const told = JSON.stringify(next.body.messages);
    none(told, [...SECRETS, TOKEN]);
    expect(told).toContain(PERSON);
    await next.finish();
    await run.finished();
    await logged('the MCP server wrote to stderr');
    for (const [broken, what] of [
      [`{"mcpServers": {"a": {"url": ${KEY}}}}`, 'the old one stays'],
      [JSON.stringify({ mcpServers: { a: { [KEY]: 1 } }, [KEY]: 1 }), 'an MCP server cannot be used'],
      [
        JSON.stringify({ mcpServers: { a: { command: 'false', [KEY]: 1 } } }),
        'the server "a" has a field that is not known',
      ],
    ] as const) {
      writeFileSync(file, broken);
      await logged(what);
      none(JSON.stringify(own.logs), [...SECRETS, TOKEN, ...WORDS]);
    }
    none(JSON.stringify(own.logs), [...SECRETS, TOKEN, ...WORDS]);
    expect(own.logs.filter(({ mcpServer }) => mcpServer === 'http')).toContainEqual(
      expect.objectContaining({ code: 500 }),
    );
  } finally {
    await own.close();
    await provider.close();
    mcp.closeAllConnections();
    mcp.close();
  }
});
