import { startAgentRuntime } from '../../packages/agent-runtime/src/app.ts';
import { loadEnv as loadAgentRuntimeEnv } from '../../packages/agent-runtime/src/env.ts';
import { startGateway } from '../../packages/gateway/src/app.ts';
import { loadEnv as loadGatewayEnv } from '../../packages/gateway/src/env.ts';
import { startLlmProxy } from '../../packages/llm-proxy/src/app.ts';
import { loadEnv as loadLlmProxyEnv } from '../../packages/llm-proxy/src/env.ts';
import { type Client, type ClientOptions, createClient } from '../../packages/sdk/src/index.ts';
import { createLogger, type RunningService } from '../../packages/service-kit/src/index.ts';
import { type CuttableProxy, startCuttableProxy } from './cuttable-proxy.ts';
import { makeDatabase } from './database.ts';

export const keys = {
  gateway: 'test-key-of-the-gateway',
  runtime: 'test-key-of-agent-runtime',
  llmProxy: 'test-key-of-llm-proxy',
};

export interface Stack {
  gateway: RunningService;
  runtime: RunningService;
  llmProxy: RunningService;
  /** Between the SDK and gateway. */
  front: CuttableProxy;
  /** Between gateway and agent-runtime. */
  back: CuttableProxy;
  /** `AGENT_RUNTIME__DATABASE_URL`. */
  databaseUrl: string;
  /** A client of its own, through `front`; closed with the stack. */
  client(options?: Partial<ClientOptions>): Client;
  /** What the services have logged, where `logs` was asked for. */
  logs: LogLine[];
  /** Stops agent-runtime and starts another on the same database and port, after what is to be done in between. */
  restartRuntime(between?: () => Promise<void>): Promise<void>;
  /** Stops gateway and starts another on the same port. */
  restartGateway(): Promise<void>;
  /** Stops llm-proxy and starts another on the same port. */
  restartLlmProxy(): Promise<void>;
  close(): Promise<void>;
}

export interface StackOptions {
  /** The base URL of an OpenAI-like provider. */
  providerUrl?: string;
  variables?: Record<string, string>;
  /** How long agent-runtime waits for a client that was cut off. */
  graceMs?: number;
  /** Keeps what the services log, at every level. Default: nothing is logged. */
  logs?: boolean;
}

export interface LogLine {
  service: string;
  level: string;
  msg: string;
  requestId?: string;
  err?: { message: string };
  [field: string]: unknown;
}

/** All three services in this process, on free ports, over real sockets. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const database = await makeDatabase();
  const variables: Record<string, string> = {
    AGENT_RUNTIME__DATABASE_URL: database.url,
    LLM_PROXY__PORT: '0',
    LLM_PROXY__INTERNAL_API_KEY: keys.llmProxy,
    LLM_PROXY__LOG_LEVEL: 'silent',
    LLM_PROXY__BUILTIN_DELAY_MS: '0',
    LLM_PROXY__MAX_RETRIES: '0',
    AGENT_RUNTIME__PORT: '0',
    AGENT_RUNTIME__INTERNAL_API_KEY: keys.runtime,
    AGENT_RUNTIME__LOG_LEVEL: 'silent',
    GATEWAY__PORT: '0',
    GATEWAY__INTERNAL_API_KEY: keys.gateway,
    GATEWAY__LOG_LEVEL: 'silent',
    ...(options.providerUrl === undefined
      ? {}
      : { LLM_PROXY__OPENAI_BASE_URL: options.providerUrl, LLM_PROXY__OPENAI_API_KEY: 'sk-test' }),
    ...options.variables,
  };
  const logs: LogLine[] = [];
  const destination = { write: (line: string) => void logs.push(JSON.parse(line)) };
  const logOf = (service: string) =>
    createLogger({ service, destination, level: options.logs === true ? 'trace' : 'silent' });
  const startProxy = (port: number) =>
    startLlmProxy(
      loadLlmProxyEnv({ ...variables, ...(port === 0 ? {} : { LLM_PROXY__PORT: String(port) }) }),
      logOf('llm-proxy'),
    );
  const llmProxy = await startProxy(0);
  const startRuntime = (port: number) =>
    startAgentRuntime(
      loadAgentRuntimeEnv({
        ...variables,
        AGENT_RUNTIME__PORT: String(port),
        AGENT_RUNTIME__LLM_PROXY_URL: llmProxy.url,
      }),
      logOf('agent-runtime'),
      { graceMs: options.graceMs },
    );
  const runtime = await startRuntime(0);
  const back = await startCuttableProxy(runtime.url);
  const startDoor = (port: number) =>
    startGateway(
      loadGatewayEnv({ ...variables, GATEWAY__PORT: String(port), GATEWAY__AGENT_RUNTIME_URL: back.url }),
      logOf('gateway'),
    );
  const gateway = await startDoor(0);
  const front = await startCuttableProxy(gateway.url);
  const clients: Client[] = [];
  const stack: Stack = {
    gateway,
    runtime,
    llmProxy,
    front,
    back,
    databaseUrl: variables.AGENT_RUNTIME__DATABASE_URL ?? database.url,
    logs,
    client(options = {}) {
      const client = createClient({ url: front.url, token: keys.gateway, timeoutMs: 10_000, ...options });
      clients.push(client);
      return client;
    },
    async restartRuntime(between) {
      const { port } = stack.runtime;
      await stack.runtime.close();
      await between?.();
      stack.runtime = await startRuntime(port);
    },
    async restartGateway() {
      const { port } = stack.gateway;
      await stack.gateway.close();
      stack.gateway = await startDoor(port);
    },
    async restartLlmProxy() {
      const { port } = stack.llmProxy;
      await stack.llmProxy.close();
      stack.llmProxy = await startProxy(port);
    },
    async close() {
      for (const client of clients) client.close();
      await front.close();
      await stack.gateway.close();
      await back.close();
      await stack.runtime.close();
      await stack.llmProxy.close();
      await database.remove();
    },
  };
  return stack;
}
