// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the files that are read have them
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMcpConfig } from './mcp-config.ts';
import { createMcpRedactor } from './mcp-secrets.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const variables = { HOME: '/home/me', TOKEN: 'secret-token' };
const read = (content: unknown) => {
  const file = join(folder, 'mcp.json');
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  const { servers, invalid, warnings } = readMcpConfig(file, variables);
  return {
    servers: Object.fromEntries([...servers].map(([name, { config }]) => [name, config])),
    prefixes: [...servers.values()].map(({ prefix }) => prefix),
    invalid: Object.fromEntries(invalid),
    warnings,
  };
};
const common = { disabled: false, trustAnnotations: false };
const local = { ...common, type: 'stdio', args: [], env: {} };
const unused = (where: string, ...names: string[]) =>
  names.map((name) => `${where} has the field ${name}, which has no use here`);

describe('the file of another client loads as it is', () => {
  it('Claude Desktop', () => {
    const file = {
      globalShortcut: 'Ctrl+Space',
      preferences: { menuBarEnabled: false },
      mcpServers: { files: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-filesystem', '/tmp'] } },
    };
    expect(read(file)).toEqual({
      servers: { files: { ...local, ...file.mcpServers.files } },
      prefixes: ['files'],
      invalid: {},
      warnings: unused('the file', 'globalShortcut', 'preferences'),
    });
  });

  it('VS Code, with comments', () => {
    const file = `{
      // asked for when the server starts
      "inputs": [{ "type": "promptString", "id": "key", "password": true }],
      "servers": {
        "github": { "type": "http", "url": "https://api.githubcopilot.com/mcp/", "headers": { "authorization": "Bearer \${env:TOKEN}" } },
        "asks": { "type": "http", "url": "https://example.com", "headers": { "x-key": "\${input:key}" } },
        "play wright": { "command": "npx", "args": ["-y", "//server"], "envFile": "\${userHome}/.env", /* later */ },
      },
    }`;
    expect(read(file)).toEqual({
      servers: {
        github: {
          ...common,
          type: 'http',
          url: 'https://api.githubcopilot.com/mcp/',
          headers: { authorization: 'Bearer secret-token' },
        },
        'play wright': { ...local, command: 'npx', args: ['-y', '//server'] },
      },
      prefixes: ['github', 'play_wright'],
      invalid: { asks: 'it uses ${input:…}, which asks a person: use ${env:NAME}' },
      warnings: [...unused('the file', 'inputs'), ...unused('the server "play_wright"', 'envFile')],
    });
  });

  it('Cline and Roo Code', () => {
    const file = {
      mcpServers: {
        a: {
          command: 'node',
          args: ['a.js'],
          env: { HOME_OF: '${HOME}' },
          alwaysAllow: ['x'],
          disabled: true,
          timeout: 60,
        },
        b: { type: 'sse', url: 'http://localhost:1/sse', autoApprove: [] },
        c: { type: 'streamableHttp', url: 'http://localhost:1/mcp', watchPaths: [], disabledTools: [] },
      },
    };
    expect(read(file)).toEqual({
      servers: {
        a: { ...local, command: 'node', args: ['a.js'], env: { HOME_OF: '/home/me' }, disabled: true },
        b: { ...common, type: 'sse', url: 'http://localhost:1/sse', headers: {} },
        c: { ...common, type: 'http', url: 'http://localhost:1/mcp', headers: {} },
      },
      prefixes: ['a', 'b', 'c'],
      invalid: {},
      warnings: [
        ...unused('the server "a"', 'alwaysAllow', 'timeout'),
        ...unused('the server "b"', 'autoApprove'),
        ...unused('the server "c"', 'watchPaths', 'disabledTools'),
      ],
    });
  });

  it('Windsurf', () => {
    const file = { mcpServers: { figma: { serverUrl: 'https://${HOST:-figma.example}/sse' } } };
    expect(read(file).servers).toEqual({ figma: { ...common, url: 'https://figma.example/sse', headers: {} } });
  });
});

it('one wrong server stops nothing, and is told of without a piece of the file', () => {
  const fine = { command: 'x' };
  const { servers, invalid, warnings } = read({
    mcpServers: {
      none: 7,
      empty: {},
      wrong: { command: 'x', env: { 'secret-token': 1 } },
      unset: { command: '${NOT_SET}' },
      odd: { command: '${secret token}' },
      address: { url: 'ftp://secret-token' },
      fine: { ...fine, 'secret-token': 1 },
    },
  });
  expect(servers).toEqual({ fine: { ...local, ...fine } });
  expect(invalid).toEqual({
    none: 'it must be an object',
    empty: 'it needs a command or a url',
    wrong: 'env.…: Invalid input: expected string, received number',
    unset: 'it uses ${NOT_SET}, which is not set, or not listed in AGENT_RUNTIME__MCP_VARIABLES',
    odd: 'it has a ${…} that is no variable of the environment',
    address: 'url: must be an http(s) URL',
  });
  expect(warnings).toEqual(['the server "fine" has a field that is not known']);
});

it('says which variables an entry uses: they are secrets, wherever they stand', () => {
  const file = join(folder, 'mcp.json');
  const entry = { command: 'x', args: ['--key=${TOKEN}', '${NONE:-none}'] };
  writeFileSync(file, JSON.stringify({ mcpServers: { a: entry } }));
  const found = readMcpConfig(file, variables).servers.get('a');
  expect(found?.config).toMatchObject({ args: ['--key=secret-token', 'none'] });
  expect(found?.variables).toEqual({ TOKEN: 'secret-token' });
  const redact = createMcpRedactor({ ...found?.config, variables: found?.variables ?? {} });
  expect(redact('it was called with --key=secret-token')).toBe('it was called with --key=[redacted]');
});

it.each([
  ['no JSON', '{"mcpServers":\n {secret}}', /: it is not valid JSON, in line 2$/],
  ['a list', '[]', /: it must be an object$/],
  ['no servers', '{"mcp": {}}', /: it must have "mcpServers" or "servers"/],
])('a file that is %s is refused as a whole', (_, text, message) => {
  expect(() => read(text)).toThrow(message);
});

it('names of any characters become prefixes that stay apart', () => {
  const names = ['My Server', 'My_Server', 'My  Server', 'сервер', 'служба', 'x'.repeat(80)];
  const { prefixes } = read({ mcpServers: Object.fromEntries(names.map((name) => [name, { command: 'x' }])) });
  expect(new Set(prefixes).size).toBe(names.length);
  for (const prefix of prefixes) expect(prefix).toMatch(/^[A-Za-z0-9_-]{1,32}$/);
  expect(prefixes[1]).toBe('My_Server');
  expect(read({ mcpServers: { 'My Server': { command: 'x' } } }).prefixes).toEqual(['My_Server']);
});
