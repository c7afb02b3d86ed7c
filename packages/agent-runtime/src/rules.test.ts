import type { Rule, ToolKind } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { judge, rememberedResource } from './rules.ts';

const rule = (effect: Rule['effect'], resource = '**', tool = '*'): Rule => ({ tool, resource, effect });
const act = (kind: ToolKind, ...resources: string[]) => ({ tool: 'the_tool', kind, resources });
const effect = (...args: Parameters<typeof judge>) => judge(...args).effect;

it('without rules only what reads is allowed', () => {
  expect(effect(act('read', 'a'), [])).toBe('allow');
  for (const kind of ['write', 'delete', 'execute'] as const) expect(effect(act(kind, 'a'), [])).toBe('ask');
});

it('a deny wins over an allow, an allow over an ask, whatever their order', () => {
  const rules = [rule('allow'), rule('ask'), rule('deny', 'secret/**')];
  for (const all of [rules, [...rules].reverse()]) {
    expect(effect(act('read', 'secret/a'), all)).toBe('deny');
    expect(effect(act('write', 'a'), all)).toBe('allow');
  }
  expect(effect(act('read', 'a'), [rule('ask')])).toBe('ask');
});

it('one denied file denies the whole call; an allow must cover all of them', () => {
  expect(effect(act('write', 'a.md', 'b.ts'), [rule('deny', '!**/*.md')])).toBe('deny');
  expect(effect(act('write', 'a.md', 'b.ts'), [rule('allow', '**/*.md')])).toBe('ask');
  expect(effect(act('write', 'a.md', 'docs/b.md'), [rule('allow', '**/*.md')])).toBe('allow');
});

it.each(['secret/x', './secret/x', 'a/../secret/x', 'a\\..\\secret\\x', 'secret//x'])('%s is no way around', (path) => {
  expect(effect(act('write', path), [rule('allow'), rule('deny', 'secret/**')])).toBe('deny');
});

it('a command that was allowed by a glob may not bring others with it', () => {
  const rules = [rule('allow', 'git *')];
  expect(effect(act('execute', 'git add src/a.ts'), rules)).toBe('allow');
  for (const command of [
    'git log; rm -rf /',
    'git log && x',
    'git log | sh',
    'git $(x)',
    'git `x`',
    'git log\nx',
    'git log > f',
  ])
    expect(effect(act('execute', command), rules)).toBe('ask');
  expect(effect(act('execute', 'git log; rm -rf /'), [rule('deny', '*rm -rf*')])).toBe('deny');
});

it('a remembered yes to a command stands for that command alone, to a write for all files', () => {
  const command = act('execute', 'echo [a-z]* | wc -l');
  const remembered = rememberedResource(command);
  expect(effect(command, [rule('allow', remembered)])).toBe('allow');
  expect(effect(act('execute', 'echo bcd | wc -l'), [rule('allow', remembered)])).toBe('ask');
  expect(rememberedResource(act('write', 'a'))).toBe('**');
});

it('rules are for the tools that they name', () => {
  expect(effect(act('write', 'a'), [rule('deny', '**', 'other_*')])).toBe('ask');
  expect(effect(act('write', 'a'), [rule('deny', '**', 'the_*')])).toBe('deny');
});
