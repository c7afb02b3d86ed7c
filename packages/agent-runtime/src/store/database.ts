import { type Logger, SettingsError } from '@codelab/service-kit';
import type { Kysely } from 'kysely';
import type { Statement } from './commit-queue.ts';
import type { Database } from './schema.ts';

export interface OpenDatabase {
  /** For queries and migrations. */
  db: Kysely<Database>;
  /** The schema that its tables are in; undefined in SQLite. */
  schema: string | undefined;
  /** Makes all of these changes durable, or none. */
  transact(statements: Statement[]): Promise<void>;
  close(): Promise<void>;
}

export interface OpenDatabaseOptions {
  /** `file:<path>` or `postgres://…`. */
  url: string;
  log: Logger;
  /** Called where another process has taken the database over while the connection was lost. */
  onTaken: () => void;
  /** How long a server that cannot be reached is waited for. Milliseconds. @default 0 */
  waitMs?: number;
  /** Milliseconds between two tries. @default 1000 */
  retryMs?: number;
}

/** Nobody answers at the database's address, or it is still starting. */
export class DatabaseUnreachable extends SettingsError {
  constructor(
    mistake: string,
    readonly reason: string,
  ) {
    super([mistake]);
  }
}
