import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { parse } from 'dotenv';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEYS, keysIn, replaceFile, withKeys } from './env-keys.mjs';
import { root } from './setup.mjs';

const random = expect.stringMatching(/^[0-9a-f]{48}$/);
const [GATEWAY, RUNTIME, LLM] = KEYS as [string, string, string];

describe('the keys of an .env file', () => {
  it('are made where a copy of .env.example leaves them empty, each another', () => {
    const example = readFileSync(join(root, '.env.example'), 'utf8');
    const { text, made } = withKeys(example);
    expect(made).toEqual(KEYS);
    const values = parse(text);
    expect(KEYS.map((name) => values[name])).toEqual([random, random, random]);
    expect(new Set(KEYS.map((name) => values[name])).size).toBe(3);
    expect(text.replace(/^(\w+__INTERNAL_API_KEY=).+$/gm, '$1')).toBe(example);
  });

  it('are made where nothing is said of them, and what is there stays', () => {
    for (const own of ['', 'LLM_PROXY__OPENAI_API_KEY=sk-1', 'LLM_PROXY__OPENAI_API_KEY=sk-1\n']) {
      const { text } = withKeys(own);
      expect(parse(text)).toEqual({ ...parse(own), [GATEWAY]: random, [RUNTIME]: random, [LLM]: random });
      expect(text.startsWith(own)).toBe(true);
    }
  });

  it.each([
    ['spaces', `${GATEWAY} =  \n`],
    ['quotes', `${GATEWAY}=""\n`],
    ['a comment', `${GATEWAY}= # mine\n`],
    ['export', `export ${GATEWAY}=\n`],
    ['line ends of Windows', `${GATEWAY}=\r\nOTHER=1\r\n`],
  ])('are made where there is nothing but %s', (_, own) => {
    const { text, made } = withKeys(own);
    expect(made).toContain(GATEWAY);
    for (const read of [parse, parseEnv]) expect(read(text)[GATEWAY]).toEqual(random);
    if (own.includes('\r')) expect(text.replaceAll('\r\n', '')).not.toContain('\n');
  });

  it('that a person has set stay as they are, however they are written', () => {
    const own = `export ${GATEWAY}='my key # of mine'\n${RUNTIME}: mine\n${LLM}=\n${LLM}=last-one-counts\n`;
    expect(withKeys(own)).toEqual({ text: own, made: [] });
    expect(keysIn(own)).toEqual(parse(own));
  });

  it('are not made twice', () => {
    const { text } = withKeys('');
    expect(withKeys(text)).toEqual({ text, made: [] });
  });

  it('do not come from a name that only ends or begins alike', () => {
    const own = `MY_${GATEWAY}=a\n${GATEWAY}_OLD=b\n# ${GATEWAY}=c\n`;
    expect(withKeys(own).made).toEqual(KEYS);
  });
});

describe('replacing a file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'codelab-env-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('leaves the new one whole and for its owner only', () => {
    const file = join(folder, '.env');
    writeFileSync(file, 'old', { mode: 0o644 });
    replaceFile(file, 'новое');
    expect(readFileSync(file, 'utf8')).toBe('новое');
    if (process.platform !== 'win32') expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['.env']);
  });

  it.skipIf(process.platform === 'win32')('follows a link', () => {
    writeFileSync(join(folder, 'real'), 'old');
    symlinkSync('real', join(folder, '.env'));
    replaceFile(join(folder, '.env'), 'new');
    expect(readFileSync(join(folder, 'real'), 'utf8')).toBe('new');
    expect(lstatSync(join(folder, '.env')).isSymbolicLink()).toBe(true);
  });

  it('leaves the old one, and nothing else, where it cannot be done', () => {
    const file = join(folder, '.env');
    mkdirSync(file);
    writeFileSync(join(file, 'old'), 'old');
    expect(() => replaceFile(file, 'new')).toThrow();
    expect(readdirSync(folder)).toEqual(['.env']);
    expect(readdirSync(file)).toEqual(['old']);
  });
});
