import { newId } from '@codelab/protocol';
import { createConnection } from './connection.ts';
import { createSession, type Session } from './session.ts';
import type { Tool } from './tools.ts';
import type {
  AgentList,
  CreateSessionOptions,
  Environment,
  ModelList,
  Procedures,
  SessionInfo,
  SessionPage,
  UsageReport,
} from './types.ts';
import { createWorker } from './worker.ts';

export interface ClientOptions {
  /** gateway's address, such as `http://localhost:8000`. */
  url: string;
  /** gateway's key. Not needed for a gateway on this machine's loopback. */
  token?: string | undefined;
  /**
   * Limits the time of a call, and of the wait for a lost connection. Milliseconds.
   * @default 30000
   */
  timeoutMs?: number | undefined;
  /** The tools that run here, by name: 1 to 64 characters of `A-Z a-z 0-9 _ -`. They are announced to every session of this client. */
  tools?: Record<string, Tool> | undefined;
  /** Returns where this client works, for the model: asked for each session that is created here. `workspaceEnvironment` of `@codelab/sdk/node` has it for a folder. */
  environment?: (() => Environment | Promise<Environment>) | undefined;
  /** Called with errors of background work: a tool's result that can't be delivered, a session that can't be watched. */
  onError?: ((error: unknown) => void) | undefined;
  /**
   * The WebSocket class.
   * @default the browser's, or `ws` on Node
   */
  WebSocket?: typeof globalThis.WebSocket | undefined;
}

/** A client of gateway. Every method throws `CodelabError`. The connection is opened on demand, and reopened when it is lost. */
export interface Client {
  readonly sessions: {
    create(options?: CreateSessionOptions): Promise<Session>;
    /** Throws `NOT_FOUND`. */
    get(sessionId: string): Promise<Session>;
    /** The one that was used last comes first. `limit`: 1 to 200, default 50; `search`: a part of the title. */
    list(options?: {
      cursor?: string | undefined;
      limit?: number | undefined;
      search?: string | undefined;
      project?: string | undefined;
    }): Promise<SessionPage>;
    delete(sessionId: string): Promise<void>;
  };
  readonly agents: {
    list(): Promise<AgentList>;
  };
  /** Returns the usage of all sessions. */
  usage(): Promise<UsageReport>;
  readonly models: {
    /** Lists the models, the default one first. */
    list(): Promise<ModelList>;
  };
  /**
   * Calls any procedure of the service by its name. After a lost connection it is called again, so pass ids where it takes some (`inputId`,
   * `newSessionId`).
   */
  call<N extends keyof Procedures>(name: N, input: Procedures[N]['input']): Promise<Procedures[N]['output']>;
  /** Ends every iteration and every tool that runs here, and closes the connection. Runs go on. */
  close(): void;
}

export function createClient({
  url,
  token,
  timeoutMs = 30_000,
  tools = {},
  environment,
  onError = () => {},
  WebSocket,
}: ClientOptions): Client {
  if (!/^https?:\/\//.test(url)) throw new TypeError(`url must start with http:// or https://, and is "${url}"`);
  const connection = createConnection({ url, token, timeoutMs, WebSocket });
  const clientId = newId('client');
  const workers = new Map<string, ReturnType<typeof createWorker>>();

  const open = async (info: SessionInfo): Promise<Session> => {
    const { sessionId } = info;
    let worker = workers.get(sessionId);
    if (worker === undefined) {
      let isAnnounced = () => {};
      const announced = new Promise<void>((resolve) => {
        isAnnounced = resolve;
      });
      worker = createWorker({ connection, sessionId, clientId, tools, announced, onError });
      workers.set(sessionId, worker);
      if (Object.keys(tools).length > 0) {
        const specs = Object.entries(tools).map(([name, { run: _, preview: __, ...spec }]) => ({ name, ...spec }));
        await connection.call((trpc, options) =>
          trpc.tool.announce.mutate({ sessionId, clientId, tools: specs }, options),
        );
      }
      isAnnounced();
    }
    const close = () => {
      workers.get(sessionId)?.stop();
      workers.delete(sessionId);
    };
    return createSession({ connection, info, worker, close, open });
  };

  return {
    sessions: {
      async create({ sessionId = newId('ses'), ...rest } = {}) {
        const here = rest.environment ?? (await environment?.());
        const { session } = await connection.call((trpc, options) =>
          trpc.session.create.mutate({ sessionId, ...rest, environment: here }, options),
        );
        return open(session);
      },
      async get(sessionId) {
        const session = await connection.call((trpc, options) => trpc.session.get.query({ sessionId }, options));
        return open(session);
      },
      list: (page = {}) => connection.call((trpc, options) => trpc.session.list.query(page, options)),
      async delete(sessionId) {
        await connection.call((trpc, options) => trpc.session.delete.mutate({ sessionId }, options));
      },
    },
    agents: {
      list: () => connection.call((trpc, options) => trpc.agent.list.query({}, options)),
    },
    usage: () => connection.call((trpc, options) => trpc.usage.get.query({}, options)),
    models: {
      list: () => connection.call((trpc, options) => trpc.model.list.query({}, options)),
    },
    call: connection.callByName,
    close() {
      for (const worker of workers.values()) worker.stop();
      connection.close();
    },
  };
}
