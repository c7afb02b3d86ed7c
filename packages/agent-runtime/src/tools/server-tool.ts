import type { PlanEntry, ToolKind, ToolSpec } from '@codelab/protocol';
import { z } from 'zod';

/** What a server tool came to: what the model is told, and what it changes in the session, stored together with it. */
export interface ServerToolResult {
  result: string;
  plan?: PlanEntry[];
  switchTo?: { agent: string; reason: string };
}

export interface ServerToolContext {
  sessionId: string;
  signal: AbortSignal;
}

/** A tool that runs in agent-runtime. Running it twice comes to the same: that is what happens when the process dies in the middle. */
export interface ServerTool {
  spec: ToolSpec;
  /** Throws an `Error` whose message the model can act on. `args` fit the schema. */
  execute(args: unknown, context: ServerToolContext): Promise<ServerToolResult> | ServerToolResult;
}

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
