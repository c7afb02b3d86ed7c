import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import {
  collectMistakes,
  commonSettings,
  httpUrl,
  loadSettings,
  readVariables,
  requireRealKeys,
  SettingsError,
  unknownSettings,
} from './env.ts';

const shape = { ...commonSettings({ prefix: 'X__', port: 9 }), URL: httpUrl, NAME: z.string() };

it('reads its own prefix, with defaults, an empty value counting as none', () => {
  const settings = loadSettings(
    { X__URL: 'http://host:1/', X__NAME: 'n', X__PORT: '', Y__PORT: '5', X__INTERNAL_API_KEY: 'k' },
    'X__',
    shape,
  );
  expect(settings).toMatchObject({ URL: 'http://host:1', NAME: 'n', PORT: 9, HOST: '127.0.0.1', LOG_LEVEL: 'info' });
});

it('names every mistake at once, and shows no key', () => {
  const wrong = {
    X__PORT: 'many',
    X__URL: 'ftp://x',
    X__LOG_LEVEL: 'loud',
    X__SHUTDOWN_TIMEOUT_MS: '-1',
    X__INTERNAL_API_KEY: 'visible',
  };
  try {
    loadSettings(wrong, 'X__', { ...shape, INTERNAL_API_KEY: z.string().min(16, 'is too short') });
    expect.unreachable();
  } catch (error) {
    expect((error as SettingsError).mistakes.sort()).toEqual([
      'X__INTERNAL_API_KEY=…: is too short',
      'X__LOG_LEVEL=loud: must be one of trace, debug, info, warn, error, fatal, silent',
      expect.stringMatching(/^X__NAME is missing/),
      'X__PORT=many: must be a port number',
      'X__SHUTDOWN_TIMEOUT_MS=-1: must not be negative',
      'X__URL=ftp://x: must be a URL that starts with http:// or https://',
    ]);
  }
});

it.each(['2147483648', '2592000000', '1e17'])('refuses %s milliseconds, for which no timer waits', (given) => {
  const variables = { X__URL: 'http://x', X__NAME: 'n', X__INTERNAL_API_KEY: 'k', X__SHUTDOWN_TIMEOUT_MS: given };
  expect(() => loadSettings(variables, 'X__', shape)).toThrow(
    `X__SHUTDOWN_TIMEOUT_MS=${given}: must be at most 2147483647 (about 24.8 days)`,
  );
  expect(loadSettings({ ...variables, X__SHUTDOWN_TIMEOUT_MS: '2147483647' }, 'X__', shape)).toMatchObject({
    SHUTDOWN_TIMEOUT_MS: 2147483647,
  });
});

it('shows no password of an address', () => {
  for (const url of ['redis+x://user:hunter2@host/0', 'http:/user:hun@ter2@host', '://:hunter2@'])
    try {
      loadSettings({ X__URL: url, X__NAME: 'n' }, 'X__', shape);
      expect.unreachable();
    } catch (error) {
      expect((error as SettingsError).message).toMatch(/X__URL=\S*…@/);
      expect((error as SettingsError).message).not.toMatch(/hun|ter2/);
    }
});

it.each([
  ['127.0.0.1', false, 'x', true],
  ['::1', false, 'x', true],
  ['localhost', false, 'x', true],
  ['0.0.0.0', false, 'x', false],
  ['192.168.0.1', false, 'change-me', false],
  ['127.0.0.1.evil.example', false, 'x', false],
  ['127.0.0.1', true, 'change-me', false],
  ['0.0.0.0', false, 'changemechangeme', false],
  ['0.0.0.0', false, 'aaaaaaaaaaaaaaaa', false],
  ['0.0.0.0', false, 'abababababababab', false],
  ['0.0.0.0', false, 'abc123abc123abc123', false],
  ['0.0.0.0', false, '1234567890123456', false],
  ['0.0.0.0', false, 'abcdefghijklmnopqrst', false],
  ['0.0.0.0', false, 'qwertyuiopasdfghjkl', false],
  ['0.0.0.0', false, '9876543210987654321', false],
  ['0.0.0.0', false, 'my-super-secret-key', true],
  ['0.0.0.0', false, '00112233445566778899aabbccddeeff', true],
  ['0.0.0.0', true, 'f3a9c1d2e4b5f6a7', true],
])('host %s, production %s, key %s: allowed %s', (host, production, key, allowed) => {
  const check = () => requireRealKeys({ prefix: 'X__', host, production, keys: { X__KEY: key } });
  if (allowed) check();
  else expect(check).toThrow(SettingsError);
});

it('a key that is missing is asked for, with the line and the file to put it into', () => {
  const root = mkdtempSync(join(tmpdir(), 'env-'));
  const folder = join(root, 'packages', 'x');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(root, 'turbo.json'), '{}');
  const before = process.cwd();
  process.chdir(folder);
  try {
    const load = () => loadSettings({ X__URL: 'http://x', X__NAME: 'n', X__INTERNAL_API_KEY: ' ' }, 'X__', shape);
    expect(load).toThrow(SettingsError);
    expect(load).toThrow(/X__INTERNAL_API_KEY is missing: .*Put the line X__INTERNAL_API_KEY=<key> into/);
    expect(load).toThrow(join(root, '.env'));
    expect(load).toThrow(/openssl rand -hex 24/);
  } finally {
    process.chdir(before);
  }
});

it.each([
  ['mysql://user:hunter2@host/database', 'mysql://…@host/database'],
  ['hunter2@host', '…@host'],
  ['postgre://host/db?user=me&password=hunter2&x=1', 'postgre://host/db?user=me&password=…&x=1'],
  ['ftp://user:with@sign:hunter2@host', 'ftp://…@host'],
])('a wrong value is shown without its password: %s', (value, shown) => {
  const load = () => loadSettings({ X__URL: value }, 'X__', { URL: httpUrl });
  expect(load).toThrow(`X__URL=${shown}: must be a URL`);
  expect(load).not.toThrow(/hunter2/);
});

it('collects the mistakes of all checks', () => {
  const fail = (text: string) => () => {
    throw new SettingsError([text]);
  };
  expect(() => collectMistakes(() => 1, fail('a'), fail('b'))).toThrow(/a\n.*b/);
  expect(
    collectMistakes(
      () => 1,
      () => {},
    ),
  ).toBe(1);
});

it('finds misspelt names', () => {
  expect(unknownSettings({ X__PORT: '1', X__PROT: '2', Y__PROT: '3' }, 'X__', shape)).toEqual(['X__PROT']);
});

it('finds .env above, up to the root of the repository; the environment wins', () => {
  const root = mkdtempSync(join(tmpdir(), 'env-'));
  const folder = join(root, 'packages', 'x');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(root, 'turbo.json'), '{}');
  expect(readVariables(folder).ENV_TEST_A).toBeUndefined();
  writeFileSync(join(root, '.env'), 'ENV_TEST_A=file\nENV_TEST_B="привет # мир"\n');
  process.env.ENV_TEST_A = 'environment';
  try {
    expect(readVariables(folder)).toMatchObject({ ENV_TEST_A: 'environment', ENV_TEST_B: 'привет # мир' });
  } finally {
    delete process.env.ENV_TEST_A;
  }
});
