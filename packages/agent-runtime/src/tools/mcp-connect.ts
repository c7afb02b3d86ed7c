import type { Logger } from '@codelab/service-kit';
import {
  Client,
  type ClientOptions,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  SSEClientTransport,
  StreamableHTTPClientTransport,
  type Transport,
} from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { ServerConfig } from './mcp-config.ts';
import { failureOf } from './mcp-secrets.ts';

/** The time for a handshake, or a page of a list. */
export const CONNECT_TIMEOUT_MS = 15_000;
const PROBE_TIMEOUT_MS = 5_000;

/** The first revision of the protocol that has no `initialize`. https://modelcontextprotocol.io/specification/2026-07-28/basic/lifecycle */
const MODERN = '2026-07-28';

type Remote = Extract<ServerConfig, { url: string }>;
type Negotiation = NonNullable<NonNullable<ClientOptions['versionNegotiation']>['mode']>;

/** Connects to a server, by the transport and the revision of the protocol that it speaks. A local one is started once. */
export function connectMcp(config: ServerConfig, log: Logger): Promise<Client> {
  return 'url' in config ? connectRemote(config, log) : connectLocal(config, log);
}

async function connectRemote(config: Remote, log: Logger): Promise<Client> {
  const url = new URL(config.url);
  const options = { requestInit: { headers: config.headers } };
  const bySse = () => open(new SSEClientTransport(url, options), 'legacy', log);
  const byHttp = (mode: Negotiation) => open(new StreamableHTTPClientTransport(url, options), mode, log);
  if (config.type === 'sse') return bySse();
  try {
    return await byHttp('auto').catch((error) => {
      if (!isUnanswered(error)) throw error;
      return byHttp('legacy');
    });
  } catch (error) {
    if (!isOlderServer(config, error)) throw error;
    return bySse();
  }
}

/** A server may end on a request that it does not know before `initialize`, so that comes first. */
async function connectLocal(config: Exclude<ServerConfig, Remote>, log: Logger): Promise<Client> {
  const { command, args, env, cwd } = config;
  const transport = new HeldStdioTransport({
    command,
    args,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stderr: 'pipe',
    ...(cwd === undefined ? {} : { cwd }),
  });
  transport.stderr?.on('data', (data: Buffer) =>
    log.debug({ bytes: data.length, event: 'mcp.stderr' }, 'the MCP server wrote to stderr; its text is not logged'),
  );
  try {
    const client = await open(transport, 'legacy', log).catch((error) => {
      // It refuses `initialize`: it may have later revisions only.
      if (!(error instanceof ProtocolError)) throw error;
      transport.forget();
      return open(transport, { pin: MODERN }, log);
    });
    transport.isHeld = false;
    return client;
  } catch (error) {
    transport.isHeld = false;
    await transport.close();
    throw error;
  }
}

async function open(transport: Transport, mode: Negotiation, log: Logger): Promise<Client> {
  const client = new Client(
    { name: 'codelab-agent-runtime', version: '1.0.0' },
    { versionNegotiation: { mode, probe: { timeoutMs: PROBE_TIMEOUT_MS } } },
  );
  client.onerror = (error) =>
    log.debug({ ...failureOf(error), event: 'mcp.protocol_error' }, 'the MCP server broke the protocol');
  await client.connect(transport, { timeout: CONNECT_TIMEOUT_MS });
  return client;
}

/** A process that outlives a handshake that it refuses: another can follow on its pipes. */
class HeldStdioTransport extends StdioClientTransport {
  isHeld = true;
  #started: Promise<void> | undefined;

  override start(): Promise<void> {
    this.#started ??= super.start();
    return this.#started;
  }

  override async close(): Promise<void> {
    if (!this.isHeld) await super.close();
  }

  /** Takes the transport from the client that had it. */
  forget(): void {
    for (const handler of ['onmessage', 'onerror', 'onclose'] as const) delete this[handler];
  }
}

/** True where a server did not say which revision it speaks: it fails on, or is silent to, a question that it does not know. */
function isUnanswered(error: unknown): boolean {
  if (error instanceof SdkHttpError) return (error.status ?? 0) >= 500;
  return error instanceof SdkError && (error.code === SdkErrorCode.RequestTimeout || error.cause instanceof SdkError);
}

/** True where a server whose kind is not said refuses streamable HTTP: then it may have SSE. https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility */
function isOlderServer(config: Remote, error: unknown): boolean {
  return config.type === undefined && error instanceof SdkHttpError && [400, 404, 405].includes(error.status ?? 0);
}
