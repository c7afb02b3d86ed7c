import { expect, it } from 'vitest';
import { loadEnv } from './env.ts';

const key = 'f3a9c1d2e4b5f6a7';

it.each([
  ['https://ide.example.com', true],
  ['https://*.example.com,vscode-webview://*', true],
  ['https://ide-*.example.com:8443/', true],
  ['http://localhost:*', true],
  ['app://*', true],
  ['https://*', false],
  ['http://*', false],
  ['https://*:443', false],
  ['https://*.com', false],
  ['https://example.*', false],
  ['https://*example.com', false],
  ['https://ok.example.com,https://*', false],
  ['*', false],
  ['example.com', false],
])('the origins %s are taken: %s', (origins, isTaken) => {
  const variables = {
    GATEWAY__INTERNAL_API_KEY: key,
    AGENT_RUNTIME__INTERNAL_API_KEY: key,
    GATEWAY__ALLOWED_ORIGINS: origins,
  };
  if (isTaken) expect(loadEnv(variables).ALLOWED_ORIGINS).toHaveLength(origins.split(',').length);
  else expect(() => loadEnv(variables)).toThrow(/GATEWAY__ALLOWED_ORIGINS=/);
});

it('does not start without keys of its own, and names both at once', () => {
  expect(() => loadEnv({})).toThrow(
    /2 settings are wrong:\n.*GATEWAY__INTERNAL_API_KEY=<key> into.*\n.*AGENT_RUNTIME__INTERNAL_API_KEY=<key> into/,
  );
});

it("calls agent-runtime with that one's own key, where it is given no other", () => {
  const both = { GATEWAY__INTERNAL_API_KEY: 'a', AGENT_RUNTIME__INTERNAL_API_KEY: 'b' };
  expect(loadEnv(both).AGENT_RUNTIME_API_KEY).toBe('b');
  expect(loadEnv({ ...both, GATEWAY__AGENT_RUNTIME_API_KEY: 'c' }).AGENT_RUNTIME_API_KEY).toBe('c');
});
