import { type Item, newId } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { openAiMistakes } from '../../../../tests/support/wire-rules.ts';
import type { StoredItem } from '../store/store.ts';
import { compact } from './compaction.ts';
import { estimateTokens, type ModelContext, toMessages } from './model-context.ts';

const none = () => undefined;

/** Turns of a question, a step with two calls, and an answer. */
function makeView(turns: number, resultLength: number): ModelContext {
  const items: StoredItem[] = [];
  const add = (kind: Item['kind'], runId: string, step: number, fields: Partial<Item>) =>
    items.push({
      position: items.length + 1,
      item: {
        itemId: newId('item'),
        runId,
        step,
        kind,
        text: '',
        status: 'completed',
        createdAt: new Date(0),
        ...fields,
      },
    });
  for (let turn = 0; turn < turns; turn++) {
    const run = `run${turn}`;
    add('user_message', run, 0, { text: `question ${turn} ${'q'.repeat(200)}` });
    add('assistant_message', run, 1, { text: `I look ${turn}` });
    for (const name of ['a', 'b'])
      add('tool_call', run, 1, {
        text: '{}',
        toolCall: {
          callId: `call_${turn}_${name}`,
          name,
          arguments: {},
          outcome: 'succeeded',
          result: name.repeat(resultLength),
        },
      });
    add('assistant_message', run, 2, { text: `answer ${turn} ${'x'.repeat(200)}` });
  }
  return { summary: undefined, summarizedThrough: 0, trimmedThrough: 0, items };
}
const tokens = (view: ModelContext) => estimateTokens(toMessages(view, none));
const valid = (view: ModelContext) => openAiMistakes({ messages: toMessages(view, none) });
const unasked = async () => {
  throw new Error('nobody is to be asked');
};

it('leaves a view alone that has room', async () => {
  const view = makeView(5, 100);
  expect(
    await compact({ view, attachments: none, window: 100_000, isForced: false, summarize: unasked }),
  ).toBeUndefined();
});

it('leaves old results out first, and asks nobody', async () => {
  const view = makeView(20, 4_000);
  const window = tokens(view);
  const smaller = (await compact({
    view,
    attachments: none,
    window,
    isForced: false,
    summarize: unasked,
  })) as ModelContext;
  expect(tokens(smaller)).toBeLessThan(window * 0.6);
  expect(smaller.items).toHaveLength(view.items.length);
  const messages = toMessages(smaller, none);
  expect(messages[2]?.content).toContain('left out');
  expect(messages.at(-2)?.content).toBe('b'.repeat(4_000));
  expect(valid(smaller)).toEqual([]);
});

it('then makes a summary of what was said, and parts no call from its result', async () => {
  const view = makeView(60, 100);
  const window = tokens(view);
  let asked = 0;
  const smaller = (await compact({
    view,
    attachments: none,
    window,
    isForced: false,
    summarize: async (messages) => {
      asked++;
      expect(openAiMistakes({ messages })).toEqual([]);
      expect(estimateTokens(messages)).toBeLessThan(window);
      return 'they talked';
    },
  })) as ModelContext;
  expect(asked).toBe(1);
  expect(smaller.summary).toBe('they talked');
  expect(tokens(smaller)).toBeLessThan(window * 0.6);
  expect(valid(smaller)).toEqual([]);
  expect(toMessages(smaller, none)[0]).toMatchObject({ role: 'user', content: expect.stringContaining('they talked') });
  expect(smaller.items.at(-1)).toBe(view.items.at(-1));
  // And once more, from the summary on.
  const again = (await compact({
    view: {
      ...smaller,
      items: [
        ...smaller.items,
        ...makeView(60, 100).items.map((each) => ({ ...each, position: each.position + 1_000 })),
      ],
    },
    attachments: none,
    window,
    isForced: false,
    summarize: async (messages) => {
      expect(JSON.stringify(messages[0])).toContain('they talked');
      return 'they talked on';
    },
  })) as ModelContext;
  expect(again.summary).toBe('they talked on');
});

it('goes on without what it could not summarise, and says so to the model', async () => {
  const view = makeView(60, 100);
  const smaller = (await compact({
    view,
    attachments: none,
    window: tokens(view),
    isForced: true,
    summarize: async () => undefined,
  })) as ModelContext;
  expect(smaller.summary).toContain('too long to be shown');
  expect(valid(smaller)).toEqual([]);
});

/** The view with what a compaction leaves behind in the history. */
const compacted = (view: ModelContext, tokensAfter: number): ModelContext => {
  const [first] = view.items as [StoredItem];
  const compaction = { tokensBefore: tokensAfter, tokensAfter };
  const item = { ...first.item, itemId: newId('item'), kind: 'compaction' as const, text: '', compaction };
  return { ...view, items: [...view.items, { position: view.items.length + 1, item }] };
};

it('is not repeated before the context has grown', async () => {
  const view = makeView(60, 100);
  const size = tokens(view);
  const options = { attachments: none, window: size, isForced: false, summarize: async () => 'they talked' };
  expect(await compact({ ...options, view: compacted(view, size * 0.95) })).toBeUndefined();
  expect(await compact({ ...options, view, triedAt: size * 0.95 })).toBeUndefined();
  expect(await compact({ ...options, view: compacted(view, size * 0.85) })).toBeDefined();
  // A provider that finds it too long is right.
  expect(await compact({ ...options, view: compacted(view, size * 0.95), isForced: true })).toBeDefined();
});

it('asks nobody for a summary of next to nothing', async () => {
  const view = makeView(2, 10);
  const [question] = view.items as [StoredItem];
  const attached = [{ name: 'a.txt', mimeType: 'text/plain', bytes: 50_000 }];
  const newest = {
    ...question.item,
    itemId: newId('item'),
    runId: 'last',
    inputId: 'last',
    text: 'look',
    attachments: attached,
  };
  view.items.push({ position: 100, item: newest });
  const attachments = ({ inputId }: { inputId?: string | undefined }) =>
    inputId === 'last' ? [{ name: 'a.txt', mimeType: 'text/plain', text: 'x '.repeat(25_000) }] : undefined;
  const window = estimateTokens(toMessages(view, attachments));
  expect(await compact({ view, attachments, window, isForced: false, summarize: unasked })).toBeUndefined();
});

it('gives up a summary that is no shorter than what it sums up', async () => {
  const view = makeView(60, 100);
  const summarize = async () => 'long '.repeat(tokens(view) * 2);
  expect(await compact({ view, attachments: none, window: tokens(view), isForced: false, summarize })).toBeUndefined();
});

it('keeps the plan word for word, over several compactions', async () => {
  const plan = [
    { text: 'Mend  the <parser>', status: 'completed' as const },
    { text: 'Then: test it', status: 'pending' as const },
  ];
  const words = '<plan>\n- [completed] Mend  the <parser>\n- [pending] Then: test it\n</plan>';
  const view = makeView(60, 100);
  const [first] = view.items as [StoredItem];
  view.items.splice(1, 0, {
    position: 1.5,
    item: { ...first.item, itemId: newId('item'), kind: 'plan', text: '', plan },
  });
  const options = { attachments: none, window: tokens(view), isForced: false };
  const once = (await compact({ ...options, view, summarize: async () => 'they talked' })) as ModelContext;
  expect(once.summary).toBe(`they talked\n\n${words}`);
  const more = makeView(60, 100).items.map((each) => ({ ...each, position: each.position + 1_000 }));
  const grown = { ...once, items: [...once.items, ...more] };
  for (const said of ['they talked on', undefined]) {
    const twice = (await compact({ ...options, view: grown, summarize: async () => said })) as ModelContext;
    expect(twice.summary?.endsWith(words)).toBe(true);
    expect(twice.summary?.split('<plan>')).toHaveLength(2);
  }
});

it('asks what was decided and what comes next', async () => {
  const view = makeView(60, 100);
  let asked = '';
  await compact({
    view,
    attachments: none,
    window: tokens(view),
    isForced: false,
    async summarize(messages) {
      asked = String(messages.at(-1)?.content);
      return 'they talked';
    },
  });
  expect(asked).toMatch(/^Decided: /m);
  expect(asked).toMatch(/^Next: /m);
});
