import { wholePart } from '@codelab/protocol';
import { z } from 'zod';
import type { StoredItem } from '../store/store.ts';
import { type ServerTool, serverTool } from './server-tool.ts';
import type { Tool } from './tool-registry.ts';

export const FIND_TOOLS = 'find_tools';

/** Of a description, as the model is shown it. UTF-16 code units. */
const SHOWN = 300;
const MAX_FOUND = 20;

/** Creates the tool with which the model finds those of MCP servers, where there are too many to be told of all. */
export function createFindTools(tools: Iterable<Tool>): ServerTool {
  return serverTool({
    name: FIND_TOOLS,
    description:
      'Finds more tools by what they do: there are more than are shown. Those that it finds can be called from the next step on.',
    input: z.object({
      query: z.string().min(1).max(500).describe('Words that its name or description would have'),
      limit: z.int().min(1).max(MAX_FOUND).default(10),
    }),
    execute: ({ query, limit }) => {
      const found = search(tools, query).slice(0, limit);
      if (found.length === 0) return { result: 'No tool matches. Try other words.' };
      const lines = found.map(({ name, description }) => {
        const line = description.replace(/\s+/g, ' ').trim();
        return `- ${name}: ${line.length > SHOWN ? `${wholePart(line, 0, SHOWN)}…` : line}`;
      });
      return { result: lines.join('\n') };
    },
  });
}

/** Returns the tools that match the most words first, those whose name does before others; equal ones by name. */
function search(tools: Iterable<Tool>, query: string): Tool[] {
  const words = [...new Set(toWords(query))];
  const scored = [...tools].flatMap((tool) => {
    if (tool.target !== 'mcp') return [];
    const [name, description] = [toWords(tool.name).join(' '), tool.description.toLowerCase()];
    let score = 0;
    for (const word of words) score += (name.includes(word) ? 3 : 0) + (description.includes(word) ? 1 : 0);
    return score === 0 ? [] : [{ tool, score }];
  });
  const byName = (a: Tool, b: Tool) => (a.name < b.name ? -1 : 1);
  return scored.sort((a, b) => b.score - a.score || byName(a.tool, b.tool)).map(({ tool }) => tool);
}

function toWords(text: string): string[] {
  return text
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/**
 * Returns the tools that the model is told of: all, where they are at most `limit`. Else those of MCP servers are left out, except for the
 * ones that the conversation has found or called, the newest first up to the limit. The order is always that of `tools`.
 */
export function selectTools(tools: ReadonlyMap<string, Tool>, items: readonly StoredItem[], limit: number): Tool[] {
  if (!tools.has(FIND_TOOLS)) return [...tools.values()];
  let left = limit;
  for (const { target } of tools.values()) if (target !== 'mcp') left--;
  const known = new Set<string>();
  for (let index = items.length - 1; index >= 0 && known.size < left; index--)
    for (const name of namesIn(items[index] as StoredItem))
      if (tools.get(name)?.target === 'mcp' && known.size < left) known.add(name);
  return [...tools.values()].filter(({ name, target }) => target !== 'mcp' || known.has(name));
}

function namesIn({ item: { toolCall } }: StoredItem): string[] {
  if (toolCall === undefined) return [];
  if (toolCall.name !== FIND_TOOLS) return [toolCall.name];
  return [...(toolCall.result ?? '').matchAll(/^- ([A-Za-z0-9_-]{1,64}):/gm)].map(([, name = '']) => name);
}
