import type { PlanEntry, ToolKind, ToolSpec } from '@codelab/protocol';
import { z } from 'zod';

/** The result of a server tool for the model, and its changes to the session, which are stored with it. */
export interface ServerToolResult {
  result: string;
  plan?: PlanEntry[];
  switchTo?: { agent: string; reason: string };
}

export interface ServerToolContext {
  sessionId: string;
  signal: AbortSignal;
}

/** A tool that runs in agent-runtime. It must be idempotent: a process that dies in the middle leaves it to the next one. */
export interface ServerTool {
  spec: ToolSpec;
  /** Throws an `Error` whose message the model can act on. `args` fit the schema. */
  execute(args: unknown, context: ServerToolContext): Promise<ServerToolResult> | ServerToolResult;
}

/** Defines a server tool by a schema of zod's. */
export function serverTool<S extends z.ZodObject>(definition: {
  name: string;
  description: string;
  input: S;
  kind?: ToolKind;
  execute(args: z.infer<S>, context: ServerToolContext): Promise<ServerToolResult> | ServerToolResult;
}): ServerTool {
  const { name, description, input, kind = 'read', execute } = definition;
  return {
    spec: { name, description, kind, inputSchema: z.toJSONSchema(input, { io: 'input' }) as ToolSpec['inputSchema'] },
    execute: (args, context) => execute(input.parse(args), context),
  };
}
