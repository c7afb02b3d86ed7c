import { expect, it } from 'vitest';
import { compilePathGlob, isOutside, normalizePath } from './paths.ts';

it.each([
  ['a/b', 'a/b'],
  ['./a//b/../c/', 'a/c'],
  ['a\\..\\b', 'b'],
  ['', '.'],
  ['.env/', '.env'],
  ['a/../..', '..'],
  ['../ws/.env', '../ws/.env'],
  ['/etc//passwd/', '/etc/passwd'],
  ['/../etc', '/etc'],
  ['c:\\ws\\a', 'C:/ws/a'],
  ['__proto__/x', '__proto__/x'],
])('%s is meant as %s', (path, meant) => {
  expect(normalizePath(path)).toBe(meant);
});

it.each([
  ['/home/me/ws/secrets/key', '/home/me/ws', 'secrets/key'],
  ['/home/me/ws/', '/home/me/ws', '.'],
  ['../ws/.env', '/home/me/ws', '.env'],
  ['../other/.env', '/home/me/ws', '../other/.env'],
  ['/home/me/ws-evil/a', '/home/me/ws', '/home/me/ws-evil/a'],
  ['C:\\ws\\a', 'c:/ws', 'a'],
  ['/etc/passwd', 'my-project', '/etc/passwd'],
  ['a/b', '/home/me/ws', 'a/b'],
])('%s in %s is %s', (path, root, meant) => {
  expect(normalizePath(path, root)).toBe(meant);
});

it('tells what leads out', () => {
  for (const path of [
    '..',
    '../a',
    '/a',
    '~/a',
    '~root/.ssh',
    'C:/a',
    'c:a',
    'file:///a',
    'a/../../b',
    '\\\\host\\share',
  ])
    expect([path, isOutside(normalizePath(path))]).toEqual([path, true]);
  for (const path of ['.', 'a', '.env', '..a', 'a~', 'ab:c'])
    expect([path, isOutside(normalizePath(path))]).toEqual([path, false]);
});

it('takes a path of a million parts in one go', () => {
  expect(normalizePath('a/a/../'.repeat(500_000))).toHaveLength(2 * 500_000 - 1);
});

it.each([
  ['secrets/', 'secrets/a/b', true],
  ['secrets/', 'secrets', true],
  ['**/.env', 'a/.ENV', true],
  ['**/.env', 'a/.env. ', true],
  ['secret dir/**', 'secret dir /a', true],
  ['!**/*.md', 'a.md', false],
  ['!**/*.md', 'a.MD', true],
  ['!(a|b)', 'a', false],
  ['!(a|b)', 'x/y', true],
  ['a\\*b', 'A*B', true],
])('%s over %s, as wide as it goes: %s', (glob, path, covers) => {
  expect(compilePathGlob(glob, true)(path, { left: 1_000_000 })).toBe(covers);
});
