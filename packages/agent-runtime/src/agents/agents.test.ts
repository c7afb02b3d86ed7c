import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLogger } from '@codelab/service-kit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Agents, loadAgents, parseAgent } from './agents.ts';

const builtinFolder = fileURLToPath(new URL('../../agents', import.meta.url));
let folder: string;
let agents: Agents | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'codelab-agents-'));
});
afterEach(() => {
  agents?.close();
  agents = undefined;
  rmSync(folder, { recursive: true });
});
const load = (defaultAgent = 'orchestrator') => {
  agents = loadAgents({ builtinFolder, folder, defaultAgent, log: createLogger({ service: 'test', level: 'silent' }) });
  return agents;
};
const file = (name: string, text: string) => writeFileSync(join(folder, name), text);

it('has the five that come with it', () => {
  expect(
    load()
      .list()
      .agents.map(({ name }) => name),
  ).toEqual(['architect', 'ask', 'coder', 'debug', 'orchestrator']);
});

it('takes a file of the same name in place of ours, and new ones, and reads them again on each change', async () => {
  file('coder.md', '---\nname: coder\nmodel: openai/gpt\n---\nYou code.');
  file('readme.txt', 'not an agent');
  const reloaded: string[] = [];
  const log = createLogger({ service: 'test', level: 'silent' });
  const changed = new Promise<void>((resolve) => {
    log.info = ((_: unknown, message: string) => {
      reloaded.push(message);
      resolve();
    }) as typeof log.info;
  });
  agents = loadAgents({ builtinFolder, folder, defaultAgent: 'orchestrator', log });
  expect(agents.get('coder')).toMatchObject({ model: 'openai/gpt', prompt: 'You code.' });
  expect(() => agents?.get('poet')).toThrow('There is no agent "poet"');
  file('poet.md', '---\nname: poet\n---\nYou rhyme.');
  await changed;
  expect(agents.get('poet').prompt).toBe('You rhyme.');
  expect(agents.find('gone').name).toBe('orchestrator');
});

it('says what is wrong with a file, and all of it', () => {
  file('a.md', 'no head');
  file('b.md', '---\nname: "with spaces"\nrules: [{ tool: x, effect: maybe }]\nextra: 1\n---\n');
  expect(() => load('nobody')).toThrow(/a\.md: it must begin[\s\S]*b\.md: name[\s\S]*AGENT_RUNTIME__AGENT=nobody/);
});

it('reads the head and the prompt', () => {
  expect(parseAgent('---\r\nname: x\r\ntools: [read_*]\r\n---\r\nHello\r\n')).toEqual({
    name: 'x',
    description: '',
    tools: ['read_*'],
    rules: [],
    prompt: 'Hello',
  });
});
