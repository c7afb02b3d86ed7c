import { describe, expect, it } from 'vitest';
import { toThinking } from './effort.ts';

const options = { isToolForced: false, lacksThinking: false };
const adaptive = { thinking: { type: 'adaptive', display: 'summarized' } };

describe.each(['claude-opus-4-7', 'claude-sonnet-5-20260901', 'claude-fable-5-1', 'anthropic.claude-opus-5.5'])(
  '%s',
  (model) => {
    it.each([
      ['none', { thinking: { type: 'disabled' } }],
      ['minimal', { effort: 'low', ...adaptive }],
      ['low', { effort: 'low', ...adaptive }],
      ['medium', { effort: 'medium', ...adaptive }],
      ['high', { effort: 'high', ...adaptive }],
      ['xhigh', { effort: 'xhigh', ...adaptive }],
      ['max', { effort: 'max', ...adaptive }],
      ['enormous', {}],
      [undefined, {}],
    ])('%s', (effort, expected) => {
      expect(toThinking(effort, { ...options, model })).toEqual(expected);
    });

    it('thinks by itself where a tool is forced', () => {
      expect(toThinking('high', { ...options, model, isToolForced: true })).toEqual({ effort: 'high' });
    });
  },
);

it('the first adaptive models lack a step', () => {
  expect(toThinking('xhigh', { ...options, model: 'claude-opus-4-6' })).toEqual({ effort: 'high', ...adaptive });
});

describe.each([
  'claude-sonnet-4-20250514',
  'claude-haiku-4-5-20251001',
  'claude-3-7-sonnet-20250219',
  'claude-x',
  'glm-5',
])('%s', (model) => {
  it.each([
    ['none', undefined],
    ['minimal', 1024],
    ['low', 2048],
    ['medium', 8192],
    ['high', 24_576],
    ['xhigh', 32_768],
    ['max', 32_768],
  ])('%s', (effort, budget) => {
    expect(toThinking(effort, { ...options, model }).thinking).toEqual(
      budget === undefined ? undefined : { type: 'enabled', budget_tokens: budget },
    );
  });

  it('gets no budget where it would be refused', () => {
    expect(toThinking('high', { ...options, model, isToolForced: true })).toEqual({});
    expect(toThinking('high', { ...options, model, lacksThinking: true })).toEqual({});
  });
});
