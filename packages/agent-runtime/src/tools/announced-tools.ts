import { CodelabError, type ToolKind, type ToolSpec } from '@codelab/protocol';
import type { AnnouncedTool } from '../store/store.ts';

/** The limits of all clients of a session together. */
const MAX_TOOLS = 512;
const MAX_LENGTH = 4 * 1024 * 1024;
/** The most clients that are remembered for one tool besides the newest. */
const MAX_OTHERS = 16;

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
    return names.has(tool.name) ? [] : withdraw(tool, clientId);
  });
  const own = tools.map((tool): AnnouncedTool => {
    const last = known.get(tool.name);
    // A client may relax the kind that it announced itself.
    const isOther = last !== undefined && last.clientId !== clientId;
    const atLeast = isOther ? strictest(last.kind, last.atLeast) : last?.atLeast;
    const others = announcersOf(last).filter((other) => other !== clientId);
    return {
      ...tool,
      clientId,
      ...(others.length === 0 ? {} : { others: others.slice(0, MAX_OTHERS) }),
      kind: strictest(tool.kind, atLeast),
      ...(atLeast === undefined ? {} : { atLeast }),
    };
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

/** Returns the clients that have a tool, the newest first. */
export function announcersOf(tool: AnnouncedTool | undefined): string[] {
  return tool === undefined || tool.isGone === true ? [] : [tool.clientId, ...(tool.others ?? [])];
}

/** Returns what remains of a tool without a client: it is another one's, or only the strictest kind that others have announced still counts. */
function withdraw(tool: AnnouncedTool, gone: string): AnnouncedTool[] {
  const announcers = announcersOf(tool);
  if (!announcers.includes(gone)) return [tool];
  const [next, ...others] = announcers.filter((clientId) => clientId !== gone);
  const { others: _, ...rest } = tool;
  const left = others.length === 0 ? {} : { others };
  if (next === tool.clientId) return [{ ...rest, ...left }];
  const { name, clientId, kind, atLeast } = tool;
  if (next !== undefined) return [{ ...rest, clientId: next, ...left, atLeast: strictest(kind, atLeast) }];
  if (atLeast === undefined) return [];
  return [{ name, description: '', inputSchema: { type: 'object' }, clientId, kind, atLeast, isGone: true }];
}
