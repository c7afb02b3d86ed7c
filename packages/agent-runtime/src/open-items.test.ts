import type { Item } from '@codelab/protocol';
import { createLogger } from '@codelab/service-kit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeSqlite, type TestDatabase } from '../../../tests/support/database.ts';
import { createOpenItems } from './open-items.ts';
import { migrateUp } from './store/migrate.ts';
import { type OpenDatabase, openDatabase } from './store/open-database.ts';
import { createStore, type Store } from './store/store.ts';

let database: TestDatabase;
let opened: OpenDatabase;
let store: Store;
beforeEach(async () => {
  const log = createLogger({ service: 'test', level: 'silent' });
  database = await makeSqlite();
  opened = await openDatabase({ url: database.url, log, onTaken: () => {} });
  await migrateUp(opened);
  store = createStore(opened, log);
});
afterEach(async () => {
  await opened.close();
  await database.remove();
});

const item = (position: number, status: Item['status'], text = `text ${position}`) => ({
  position,
  item: {
    itemId: `item${position}`,
    runId: 'run',
    step: 1,
    kind: 'assistant_message' as const,
    text,
    status,
    createdAt: new Date(position),
  },
});
const shown = ({ items }: { items: Item[] }) => items.map(({ text, status }) => `${text} ${status}`);

it('an item is in the history from its first word on, through its last, until the store has it', async () => {
  const open = createOpenItems(store, 's');
  await store.commit([store.writes.item('s', item(1, 'completed'))]);
  const said = item(2, 'in_progress', 'half');
  open.opened(said);
  expect(shown(await open.snapshot())).toEqual(['text 1 completed', 'half in_progress']);
  expect(open.list()).toHaveLength(1);
  said.item.text = 'whole';
  said.item.status = 'completed';
  // Said, and not stored yet: a reader that begins now must not miss it.
  expect(shown(await open.snapshot())).toEqual(['text 1 completed', 'whole completed']);
  expect(open.list()).toEqual([]);
  await store.commit([store.writes.item('s', said)]);
  expect(shown(await open.snapshot())).toEqual(['text 1 completed', 'whole completed']);
  open.closed(said);
  expect(shown(await open.snapshot())).toEqual(['text 1 completed', 'whole completed']);
});

it('what is open has its newest text, whatever the store says, and pages keep their limit', async () => {
  const open = createOpenItems(store, 's');
  for (let position = 1; position <= 5; position++)
    await store.commit([store.writes.item('s', item(position, position === 3 ? 'in_progress' : 'completed'))]);
  open.opened(item(3, 'in_progress', 'more by now'));
  open.opened(item(6, 'in_progress'));
  const { items, more } = await open.page({ limit: 4 });
  expect(items.map(({ item: { text } }) => text)).toEqual(['more by now', 'text 4', 'text 5', 'text 6']);
  expect(more).toBe(true);
  expect((await open.page({ limit: 4, before: 3 })).items.map(({ position }) => position)).toEqual([1, 2]);
});
