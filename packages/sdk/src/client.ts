import { newId } from '@codelab/protocol';
import { createConnection } from './connection.ts';
import { createSession, type Session } from './session.ts';
import type { ModelInfo, SessionInfo } from './types.ts';

export interface ClientOptions {
  /** gateway's address, such as `http://localhost:8000`. */
  url: string;
  /** gateway's key. Not needed for a gateway on this machine's loopback. */
  token?: string;
  /** How long a call, or the wait for a lost connection, may take before it fails. Milliseconds, default 30,000. */
  timeoutMs?: number;
  /** A WebSocket class of your own. Default: the browser's, or `ws` on Node. */
  WebSocket?: typeof globalThis.WebSocket;
}

export interface CreateSessionOptions {
  /** Your name for it, 2 to 128 characters of `A-Z a-z 0-9 _ . : -`. Creating it again with the same values returns the same one. */
  sessionId?: string;
  title?: string;
  /** Default: the service's. */
  model?: string;
  metadata?: Record<string, string>;
}

/** The way to the agent. Everything throws `CodelabError`; a connection is opened when it is needed, and again when it was cut. */
export interface Client {
  readonly sessions: {
    create(options?: CreateSessionOptions): Promise<Session>;
    /** Throws `NOT_FOUND`. */
    get(sessionId: string): Promise<Session>;
    /** Newest first. `limit`: 1 to 200, default 50. */
    list(options?: { cursor?: string; limit?: number }): Promise<{ sessions: SessionInfo[]; nextCursor?: string }>;
    delete(sessionId: string): Promise<void>;
  };
  readonly models: {
    /** The default model first. */
    list(): Promise<{ models: ModelInfo[]; defaultModel: string }>;
  };
  /** Ends every iteration and closes the connection. Runs go on. */
  close(): void;
}

export function createClient({ url, token, timeoutMs = 30_000, WebSocket }: ClientOptions): Client {
  if (!/^https?:\/\//.test(url)) throw new TypeError(`url must start with http:// or https://, and is "${url}"`);
  const connection = createConnection({ url, token, timeoutMs, WebSocket });
  return {
    sessions: {
      async create({ sessionId = newId('ses'), ...rest } = {}) {
        const { session } = await connection.call((trpc, options) =>
          trpc.session.create.mutate({ sessionId, ...rest }, options),
        );
        return createSession(connection, session);
      },
      async get(sessionId) {
        const session = await connection.call((trpc, options) => trpc.session.get.query({ sessionId }, options));
        return createSession(connection, session);
      },
      list: (page = {}) => connection.call((trpc, options) => trpc.session.list.query(page, options)),
      async delete(sessionId) {
        await connection.call((trpc, options) => trpc.session.delete.mutate({ sessionId }, options));
      },
    },
    models: {
      list: () => connection.call((trpc, options) => trpc.model.list.query({}, options)),
    },
    close: () => connection.close(),
  };
}
