import { expect, it } from 'vitest';
import type { StoredItem } from '../store/store.ts';
import { createFindTools, FIND_TOOLS, selectTools } from './find-tools.ts';
import type { Tool } from './tool-registry.ts';

const tool = (name: string, description = '', target = 'mcp') =>
  ({ name, description, target, kind: 'read', inputSchema: { type: 'object' } }) as unknown as Tool;
const called = (name: string, result?: string) =>
  ({ item: { toolCall: { callId: 'c', name, result } } }) as unknown as StoredItem;
const tools = [
  tool('git_create_issue', 'Opens a ticket in a repository.'),
  tool('git_listIssues', 'Lists what is open.'),
  tool('mail_send', `Sends a message about an issue. ${'x'.repeat(400)}`),
  tool('issue_reader', 'Reads.', 'client'),
];
const find = async (query: string, limit?: number) =>
  (await createFindTools(tools).execute({ query, limit }, { sessionId: 's', signal: AbortSignal.abort() })).result;

it('finds by the words of names and descriptions, the best first, always in the same order', async () => {
  const [first, second, third, ...rest] = (await find('Issue')).split('\n');
  expect([first, second]).toEqual([
    '- git_create_issue: Opens a ticket in a repository.',
    '- git_listIssues: Lists what is open.',
  ]);
  expect(third).toMatch(/^- mail_send: Sends a message about an issue\. x+…$/);
  expect(rest).toEqual([]);
  expect(await find('list issues', 1)).toBe('- git_listIssues: Lists what is open.');
  expect(await find('weather')).toBe('No tool matches. Try other words.');
});

it('the model is told of all tools up to the limit; over it of those of MCP servers that it found or called', async () => {
  const few = new Map(tools.map((each) => [each.name, each]));
  expect(selectTools(few, [], 1)).toEqual(tools);
  const many = new Map([...few, [FIND_TOOLS, tool(FIND_TOOLS, '', 'server')]]);
  const names = (items: StoredItem[], limit = 10) => selectTools(many, items, limit).map(({ name }) => name);
  expect(names([])).toEqual(['issue_reader', FIND_TOOLS]);
  expect(names([called('mail_send'), called('unknown')])).toEqual(['mail_send', 'issue_reader', FIND_TOOLS]);
  const found = called(FIND_TOOLS, await find('issue'));
  expect(names([found])).toEqual(['git_create_issue', 'git_listIssues', 'mail_send', 'issue_reader', FIND_TOOLS]);
  expect(names([called('mail_send'), found], 4)).toEqual([
    'git_create_issue',
    'git_listIssues',
    'issue_reader',
    FIND_TOOLS,
  ]);
  expect(names([found], 1)).toEqual(['issue_reader', FIND_TOOLS]);
});
