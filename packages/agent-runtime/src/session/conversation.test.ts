import { noUsage } from '@codelab/protocol';
import { createLogger } from '@codelab/service-kit';
import { afterEach, expect, it } from 'vitest';
import { makeSqlite } from '../../../../tests/support/database.ts';
import { migrateUp } from '../store/migrate.ts';
import { openDatabase } from '../store/open-database.ts';
import { createStore, type Store, type StoredItem } from '../store/store.ts';
import { createConversation } from './conversation.ts';

const cleanups: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function makeStore(): Promise<Store> {
  const log = createLogger({ service: 'test', level: 'silent' });
  const database = await makeSqlite();
  cleanups.push(database.remove);
  const opened = await openDatabase({ url: database.url, log, onTaken: () => {} });
  cleanups.push(() => opened.close());
  await migrateUp(opened);
  return createStore(opened, log);
}

const block = { type: 'thinking' as const, thinking: 'Hm.', signature: 's' };
const item = (position: number, kind: 'user_message' | 'assistant_message', hidden: object = {}): StoredItem => ({
  position,
  item: { itemId: `i${position}`, runId: 'r', step: 1, kind, text: 'x', status: 'completed', createdAt: new Date(0) },
  ...hidden,
});

it.each([
  [
    ['a', 'a'],
    [[block], [{ ...block, signed_by: 'p/a' }]],
  ],
  [
    ['a', 'b'],
    [[], [{ ...block, signed_by: 'p/a' }]],
  ],
])('thinking without a signer is kept where one model has answered all the time: %j', async (models, kept) => {
  const store = await makeStore();
  await store.commit([
    store.statements.item('s', item(1, 'user_message')),
    store.statements.item('s', item(2, 'assistant_message', { modelOnly: { thinking: [block] } })),
    store.statements.item(
      's',
      item(3, 'assistant_message', { modelOnly: { thinking: [{ ...block, signed_by: 'p/a' }] } }),
    ),
    ...models.map((model, step) =>
      store.statements.step({ runId: 'r', step, sessionId: 's', model, usage: noUsage, costUsd: undefined }),
    ),
  ]);
  const { items } = await createConversation(store, 's').get();
  expect(items.slice(1).map(({ modelOnly }) => modelOnly?.thinking)).toEqual(kept);
});
