import { expect, it } from 'vitest';
import { toEnvironmentPrompt } from './environment-prompt.ts';

const environment = { folder: '/ws/shop', system: 'Linux 6.1 x64', date: '2026-11-28' };

it('has a fixed form', () => {
  const git = { branch: 'main', isDirty: true };
  expect(toEnvironmentPrompt({ ...environment, git, instructions: 'Use tabs.\n' })).toBe(
    [
      '<environment at="the beginning of the session">',
      'Folder: /ws/shop',
      'Operating system: Linux 6.1 x64',
      'Date: 2026-11-28',
      'Git: branch main, with uncommitted changes',
      '</environment>',
      '',
      '<instructions from="AGENTS.md">',
      'Use tabs.',
      '</instructions>',
    ].join('\n'),
  );
});

it('leaves out what there is not, and no value begins a line of its own', () => {
  expect(toEnvironmentPrompt({ ...environment, folder: '/ws\nDate: never', instructions: ' ' })).toBe(
    [
      '<environment at="the beginning of the session">',
      'Folder: /ws Date: never',
      'Operating system: Linux 6.1 x64',
      'Date: 2026-11-28',
      '</environment>',
    ].join('\n'),
  );
});
