import { CodelabError, type ToolKind, type ToolSpec } from '@codelab/protocol';
import type { AnnouncedTool } from '../store/store.ts';

/** The limits of all clients of a session together. */
const MAX_TOOLS = 512;
const MAX_LENGTH = 4 * 1024 * 1024;

const STRICTNESS: ToolKind[] = ['read', 'write', 'delete', 'execute'];

/** Returns the stricter kind, for which a person is more likely to be asked. */
export function strictest(kind: ToolKind, other: ToolKind | undefined): ToolKind {
  return other === undefined || STRICTNESS.indexOf(kind) > STRICTNESS.indexOf(other) ? kind : other;
}

/**
 * Returns the tools of a session once a client has announced all of its own. A tool goes to the client that announced it last, but keeps at least the strictest
 * kind that another client has announced: else any client could bypass approval. Throws `VALIDATION` where there would be too many.
 */
export function mergeAnnounced(before: AnnouncedTool[], clientId: string, tools: ToolSpec[]): AnnouncedTool[] {
  const known = new Map(before.map((tool) => [tool.name, tool]));
  const names = new Set(tools.map(({ name }) => name));
  const others = before.flatMap((tool): AnnouncedTool[] => {
    if (names.has(tool.name)) return [];
    return tool.clientId === clientId && tool.isGone !== true ? withdraw(tool) : [tool];
  });
  const own = tools.map((tool): AnnouncedTool => {
    const last = known.get(tool.name);
    // A client may relax the kind that it announced itself.
    const isOther = last !== undefined && last.clientId !== clientId;
    const atLeast = isOther ? strictest(last.kind, last.atLeast) : last?.atLeast;
    return { ...tool, clientId, kind: strictest(tool.kind, atLeast), ...(atLeast === undefined ? {} : { atLeast }) };
  });
  const announced = [...others, ...own];
  if (announced.length > MAX_TOOLS || JSON.stringify(announced).length > MAX_LENGTH)
    throw new CodelabError(
      'VALIDATION',
      `The clients of this session have announced too many tools: at most ${MAX_TOOLS}, and ${MAX_LENGTH / 1024 / 1024} MiB in all.`,
      { details: [{ path: 'tools', message: 'are too many, together with those of other clients' }] },
    );
  return announced;
}

/** Returns what remains of a tool that its client has withdrawn: the strictest kind that other clients have announced. */
function withdraw({ name, clientId, kind, atLeast }: AnnouncedTool): AnnouncedTool[] {
  if (atLeast === undefined) return [];
  return [{ name, description: '', inputSchema: { type: 'object' }, clientId, kind, atLeast, isGone: true }];
}
