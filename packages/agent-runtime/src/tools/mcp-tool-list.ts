import type { Client } from '@modelcontextprotocol/client';
import { z } from 'zod';
import { CONNECT_TIMEOUT_MS } from './mcp-connect.ts';

const CHECK_TIMEOUT_MS = 10_000;
const MAX_PAGES = 100;
const MAX_LISTED = 1_000;

/** A tool as a server describes it. The package's own schema would refuse the whole list for one wrong tool. */
const ListedTool = z.object({
  name: z.string().catch(''),
  title: z.string().optional().catch(undefined),
  description: z.string().optional().catch(undefined),
  inputSchema: z.unknown().optional(),
  annotations: z
    .object({ readOnlyHint: z.boolean().optional(), destructiveHint: z.boolean().optional() })
    .optional()
    .catch(undefined),
});
export type ListedTool = z.infer<typeof ListedTool>;
const Page = z.object({ tools: z.array(ListedTool.catch({ name: '' })), nextCursor: z.string().nullish() });

export interface ToolWatch {
  /** Rejects where the server does not answer any more. */
  check(): Promise<void>;
}

/** Lists the tools of a server, now and whenever they change. Resolves once `onTools` has taken them for the first time. */
export async function watchTools(client: Client, onTools: (tools: ListedTool[]) => Promise<void>): Promise<ToolWatch> {
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

/** Asks without the client's own method, which writes to the console. */
async function listTools(client: Client): Promise<ListedTool[]> {
  const found: ListedTool[] = [];
  let cursor: string | null | undefined;
  let pages = 0;
  do {
    const request = { method: 'tools/list', params: typeof cursor === 'string' ? { cursor } : {} };
    const page = await client.request(request, Page, { timeout: CONNECT_TIMEOUT_MS });
    found.push(...page.tools);
    cursor = page.nextCursor;
  } while (typeof cursor === 'string' && found.length < MAX_LISTED && ++pages < MAX_PAGES);
  return found;
}
