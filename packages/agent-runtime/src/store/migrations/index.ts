// Written by `npm run db:new`: one line a file of this folder, in order.
import type { Migration } from 'kysely';
import { m0001_sessions } from './0001_sessions.ts';

export const migrations: Record<string, Migration> = {
  '0001_sessions': m0001_sessions,
};
