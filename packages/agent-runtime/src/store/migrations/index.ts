// Written by `npm run db:new`: one line a file of this folder, in order.
import type { Migration } from 'kysely';
import { m0001_sessions } from './0001_sessions.ts';
import { m0002_events } from './0002_events.ts';
import { m0003_session_list } from './0003_session_list.ts';
import { m0004_cache_writes } from './0004_cache_writes.ts';

export const migrations: Record<string, Migration> = {
  '0001_sessions': m0001_sessions,
  '0002_events': m0002_events,
  '0003_session_list': m0003_session_list,
  '0004_cache_writes': m0004_cache_writes,
};
