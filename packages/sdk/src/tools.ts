import type { ToolKind } from './types.ts';

/** A schema that says its types: what zod (4.2 and newer), Valibot, ArkType and others make. https://standardschema.dev */
export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
    /** https://standardschema.dev/json-schema */
    readonly jsonSchema?:
      | { readonly input: (options: { target: 'draft-2020-12' }) => Record<string, unknown> }
      | undefined;
  };
}

type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<{ readonly message: string }> };

/** JSON Schema (draft 2020-12) of an object. */
export interface JsonSchema {
  type: 'object';
  [keyword: string]: unknown;
}

/** What a tool is told besides its arguments. */
export interface ToolContext {
  sessionId: string;
  /** Names this call. */
  callId: string;
  /** Aborts when the result is not wanted any more: the run was cancelled, or the time is over. */
  signal: AbortSignal;
  /** Of a tool that works on paths: those that the rules were asked about, and globs of those that they deny to this tool. A link, or a search, must not lead there. */
  paths?: readonly string[] | undefined;
  denied?: readonly string[] | undefined;
  /** The session's project, where that is a path: what relative paths are in, for globs from the top. */
  root?: string | undefined;
  /** Says how far it is, and that it is still at work: its time begins anew. `fraction`: 0 to 1. */
  progress(message: string, fraction?: number): void;
}

export interface ToolDefinition<Args> {
  /** What it is for, as the model is told. */
  description: string;
  /** Its arguments: a schema of zod's, or JSON Schema. */
  input: StandardSchema<Args> | JsonSchema;
  /** Whether a person is asked first. `read` is allowed by default. Default: `execute`. */
  kind?: ToolKind;
  /** Which argument names what the tool works on, such as `path`: rules match it. */
  resource?: string;
  /** How long it may take without a word. Milliseconds. Default: the service's, 120,000. */
  timeoutMs?: number;
  /** What it returns is given to the model: text as it is, everything else as JSON. What it throws, the model is told. */
  execute(args: Args, context: ToolContext): unknown;
}

/** A tool of any arguments, as the client keeps it. */
export interface Tool {
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly kind: ToolKind;
  readonly resource: string | undefined;
  readonly timeoutMs: number | undefined;
  run(args: Record<string, unknown>, context: ToolContext): Promise<unknown>;
}

/** Defines a tool. Throws `TypeError` where the schema can't be told to a model. */
export function tool<Args = Record<string, unknown>>(definition: ToolDefinition<Args>): Tool {
  const { description, input, kind = 'execute', resource, timeoutMs, execute } = definition;
  const standard = isStandard(input) ? input['~standard'] : undefined;
  return {
    description,
    inputSchema: standard === undefined ? (input as JsonSchema) : toJsonSchema(standard),
    kind,
    resource,
    timeoutMs,
    async run(args, context) {
      // The service has checked JSON Schema already; a schema of zod's may also transform.
      if (standard === undefined) return execute(args as Args, context);
      const result = await standard.validate(args);
      if (result.issues !== undefined) throw new Error(result.issues.map(({ message }) => message).join('; '));
      return execute(result.value, context);
    },
  };
}

function isStandard<Args>(input: StandardSchema<Args> | JsonSchema): input is StandardSchema<Args> {
  return '~standard' in input;
}

function toJsonSchema({ vendor, jsonSchema }: StandardSchema<unknown>['~standard']): JsonSchema {
  if (jsonSchema === undefined)
    throw new TypeError(
      `This schema (of ${vendor}) can't be written as JSON Schema. Use zod 4.2 or newer, or pass JSON Schema as input.`,
    );
  const schema = jsonSchema.input({ target: 'draft-2020-12' });
  if (schema.type !== 'object') throw new TypeError("A tool's input must be the schema of an object.");
  return schema as JsonSchema;
}
