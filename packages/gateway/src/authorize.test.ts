import { expect, it } from 'vitest';
import { createAuthorize } from './authorize.ts';

const key = 'the-key-of-the-gateway';

it.each([
  ['https://*.example.com', 'https://a.example.com', true],
  ['https://*.example.com', 'https://a.b.example.com', true],
  ['https://*.example.com', 'https://example.com', false],
  ['https://*.example.com', 'https://a.example.com.evil.example', false],
  ['https://ide.example.com', 'https://ide-example.com', false],
  ['https://ide.example.com', 'http://ide.example.com', false],
  ['vscode-webview://*', 'vscode-webview://1abc', true],
])('with %s allowed, the origin %s passes without a token: %s', (allowed, origin, passes) => {
  const authorize = createAuthorize({ key, host: '127.0.0.1', allowedOrigins: [allowed] });
  expect(authorize({ headers: { origin, host: 'localhost:8000' } }) === undefined).toBe(passes);
});

it.each(['localhost:8000', '127.0.0.1:8000', '[::1]:8000', 'LOCALHOST'])('%s is a loopback name', (host) => {
  const authorize = createAuthorize({ key, host: '::1', allowedOrigins: [] });
  expect(authorize({ headers: { host } })).toBeUndefined();
});

it.each(['localhost.evil.example', '127.0.0.1.evil.example', 'evil.example:8000', '192.168.1.2:8000'])(
  '%s is not',
  (host) => {
    const authorize = createAuthorize({ key, host: '127.0.0.1', allowedOrigins: ['*://*'] });
    expect(authorize({ headers: { host } })).toMatchObject({ code: 'FORBIDDEN' });
  },
);

it('a token decides, wherever it comes from', () => {
  const authorize = createAuthorize({ key, host: '0.0.0.0', allowedOrigins: [] });
  expect(authorize({ headers: {} })).toMatchObject({ code: 'UNAUTHORIZED' });
  expect(authorize({ headers: {}, token: key })).toBeUndefined();
  expect(authorize({ headers: { authorization: `bearer ${key}` } })).toBeUndefined();
  expect(authorize({ headers: { 'x-internal-auth': key } })).toBeUndefined();
  // A wrong header is not mended by a right parameter.
  expect(authorize({ headers: { 'x-internal-auth': 'wrong' }, token: key })).toMatchObject({ code: 'UNAUTHORIZED' });
});
