import { createHash } from 'node:crypto';
import { CodelabError, type CompletionRequest, type SessionTool, type ToolSpec } from '@codelab/protocol';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import picomatch from 'picomatch';
import type { Agent } from '../agents.ts';
import type { AnnouncedTool } from '../store/store.ts';
import type { ServerTool } from './server-tool.ts';

const MAX_VALIDATORS = 500;

/** A tool as the run loop calls it. */
export type Tool = ToolSpec &
  (
    | { target: 'client'; clientId: string }
    | { target: 'server'; execute: ServerTool['execute'] }
    | {
        target: 'mcp';
        call: (args: Record<string, unknown>, options: { signal: AbortSignal; timeoutMs: number }) => Promise<string>;
      }
  );

/** Tools that come and go with their servers. */
export interface ToolSource {
  tools(): Tool[];
}

/** All the tools there are, whoever runs them. */
export interface Toolbox {
  /** The tools of a session, by name, as its agent may use them. Of two with one name agent-runtime's own comes first, then the client's. */
  toolsOf(announced: AnnouncedTool[], agent: Agent): Map<string, Tool>;
  /** All the tools of a session, whatever its agent. */
  list(announced: AnnouncedTool[]): SessionTool[];
  /** Throws `VALIDATION` where one is named as one of ours, or has a schema that is none. */
  check(tools: ToolSpec[]): void;
  /** What does not fit the tool's schema, for the model to correct, or undefined. */
  mistakesOf(tool: ToolSpec, args: unknown): string | undefined;
}

export function createToolbox({ server, mcp }: { server: ServerTool[]; mcp: ToolSource }): Toolbox {
  const own: Tool[] = server.map(({ spec, execute }) => ({ ...spec, target: 'server', execute }));
  const validators = createValidators();

  const all = (announced: AnnouncedTool[]): Map<string, Tool> => {
    const client = announced.map((tool): Tool => ({ ...tool, target: 'client' }));
    return new Map([...mcp.tools(), ...client, ...own].map((tool) => [tool.name, tool]));
  };

  return {
    toolsOf(announced, agent) {
      const tools = all(announced);
      if (agent.tools === undefined) return tools;
      const has = picomatch(agent.tools);
      return new Map([...tools].filter(([name]) => has(name)));
    },

    list: (announced) =>
      [...all(announced).values()].map(({ name, description, inputSchema, kind, resource, timeoutMs, target }) => ({
        name,
        description,
        inputSchema,
        kind,
        target,
        ...(resource === undefined ? {} : { resource }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      })),

    check(tools) {
      const details: Array<{ path: string; message: string }> = [];
      const names = new Set<string>();
      for (const [index, tool] of tools.entries()) {
        const path = `tools.${index}`;
        if (own.some(({ name }) => name === tool.name))
          details.push({ path: `${path}.name`, message: `"${tool.name}" is a tool of agent-runtime's own` });
        if (names.has(tool.name)) details.push({ path: `${path}.name`, message: `"${tool.name}" is there twice` });
        names.add(tool.name);
        try {
          validators.of(tool.inputSchema);
        } catch (error) {
          details.push({ path: `${path}.inputSchema`, message: `is no JSON Schema: ${(error as Error).message}` });
        }
      }
      if (details.length > 0)
        throw new CodelabError('VALIDATION', details.map(({ path, message }) => `${path}: ${message}`).join('; '), {
          details,
        });
    },

    mistakesOf: (tool, args) => validators.mistakes(tool.inputSchema, args),
  };
}

/** A tool as providers are told of it. */
export function toCompletionTools(tools: Iterable<Tool>): NonNullable<CompletionRequest['tools']> {
  return [...tools].map(({ name, description, inputSchema }) => ({
    type: 'function',
    function: { name, description, parameters: withoutDialect(inputSchema) },
  }));
}

function withoutDialect({ $schema: _, ...schema }: ToolSpec['inputSchema']): Record<string, unknown> {
  return schema;
}

function createValidators() {
  /** In order of use. */
  const known = new Map<string, ValidateFunction>();
  const of = (schema: ToolSpec['inputSchema']): ValidateFunction => {
    const text = JSON.stringify(withoutDialect(schema));
    const key = createHash('sha256').update(text).digest('base64');
    // One Ajv for each: ids within schemas of strangers may clash.
    const validate =
      known.get(key) ??
      new Ajv2020({ strict: false, allErrors: true, validateFormats: false }).compile(withoutDialect(schema));
    known.delete(key);
    known.set(key, validate);
    if (known.size > MAX_VALIDATORS) known.delete(known.keys().next().value as string);
    return validate;
  };
  return {
    of,
    mistakes(schema: ToolSpec['inputSchema'], args: unknown): string | undefined {
      const validate = of(schema);
      if (validate(args)) return undefined;
      return (validate.errors ?? [])
        .slice(0, 10)
        .map(({ instancePath, message, params }) => {
          const at = instancePath === '' ? 'the arguments' : instancePath.slice(1).replaceAll('/', '.');
          const more =
            'allowedValues' in params
              ? `: ${params.allowedValues.join(', ')}`
              : 'additionalProperty' in params
                ? `: ${params.additionalProperty}`
                : '';
          return `${at} ${message}${more}`;
        })
        .join('; ');
    },
  };
}
