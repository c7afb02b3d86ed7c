import type { Client, Tool } from '@modelcontextprotocol/client';
import { CONNECT_TIMEOUT_MS } from './mcp-connect.ts';

const CHECK_TIMEOUT_MS = 10_000;
const MAX_PAGES = 100;
const MAX_LISTED = 1_000;

export interface ToolWatch {
  /** Rejects where the server does not answer any more. */
  check(): Promise<void>;
}

/** Lists the tools of a server, now and whenever they change. Resolves once `onTools` has taken them for the first time. */
export async function watchTools(client: Client, onTools: (tools: Tool[]) => Promise<void>): Promise<ToolWatch> {
  const isModern = client.getProtocolEra() === 'modern';
  /** A server of later revisions tells of changes to those who listen. */
  let isListening = !isModern || client.getServerCapabilities()?.tools?.listChanged !== true;
  let isListing = false;
  let isStale = false;
  const report = (error: unknown) => client.onerror?.(error as Error);

  const list = async (): Promise<void> => {
    isStale = isListing;
    if (isListing) return;
    isListing = true;
    try {
      await onTools(await listTools(client));
    } finally {
      isListing = false;
    }
    if (isStale) void list().catch(report);
  };
  const listen = async (): Promise<void> => {
    const { closed } = await client.listen({ toolsListChanged: true }, { timeout: CONNECT_TIMEOUT_MS });
    isListening = true;
    void closed.then(() => {
      isListening = false;
    });
  };

  client.setNotificationHandler('notifications/tools/list_changed', list);
  if (!isListening) await listen().catch(report);
  await list();
  return {
    async check() {
      const options = { timeout: CHECK_TIMEOUT_MS };
      await (isModern ? client.discover(options) : client.ping(options));
      if (isListening) return;
      await listen().catch(report);
      // They may have changed while nobody listened.
      await list().catch(report);
    },
  };
}

/** Asks by itself: the client's own method writes to the console. */
async function listTools(client: Client): Promise<Tool[]> {
  const found: Tool[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const request = { method: 'tools/list' as const, params: cursor === undefined ? {} : { cursor } };
    const page = await client.request(request, { timeout: CONNECT_TIMEOUT_MS });
    found.push(...page.tools);
    cursor = page.nextCursor;
  } while (cursor !== undefined && found.length < MAX_LISTED && ++pages < MAX_PAGES);
  return found;
}
