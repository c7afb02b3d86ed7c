import type { FileChange, ToolKind } from './types.ts';

/** A schema with its types, as zod (4.2 and newer), Valibot, ArkType and others make it. https://standardschema.dev */
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

/** The context of a call, besides its arguments. */
export interface ToolContext {
  sessionId: string;
  /** The id of this call. */
  callId: string;
  /** Aborts once the result is no longer needed: the run was cancelled, or the call has timed out. */
  signal: AbortSignal;
  /** Of a tool that works on paths: those that the rules were checked for. */
  paths?: readonly string[] | undefined;
  /** Globs of the paths that rules deny to this tool. No link or search may lead there. */
  denied?: readonly string[] | undefined;
  /** The session's project, where that is a path: the folder of relative paths, for absolute globs. */
  root?: string | undefined;
  /** Reports progress, and restarts the call's timeout. `fraction`: 0 to 1. */
  progress(message: string, fraction?: number): void;
}

/** The context of a preview, besides the arguments of its call. `signal` aborts once it is decided on. */
export type PreviewContext = Omit<ToolContext, 'progress'>;

type Changes = FileChange[] | undefined;

export interface ToolDefinition<Args> {
  /** The purpose of the tool, for the model. */
  description: string;
  /** The schema of its arguments: zod, another Standard Schema, or JSON Schema. */
  input: StandardSchema<Args> | JsonSchema;
  /**
   * Decides whether a person is asked first: `read` is allowed, the others ask.
   * @default 'execute'
   */
  kind?: ToolKind | undefined;
  /** The argument that names the resource, such as `path`: rules match its value. */
  resource?: string | undefined;
  /**
   * Limits the time without progress. Milliseconds.
   * @default the service's, 120000
   */
  timeoutMs?: number | undefined;
  /** Runs the tool. Its result goes to the model: text as it is, everything else as JSON. The message of an error that it throws goes there, too. */
  execute(args: Args, context: ToolContext): unknown;
  /**
   * Returns what a call would change, file by file, and changes nothing: asked for each call that waits for a decision, and shown to the person who decides.
   * `fileChange` of `@codelab/sdk/node` makes it of two texts. Over 256 KiB hunks are left out. Returning nothing, or throwing, leaves the approval as it is; a
   * decision never waits for it.
   */
  preview?(args: Args, context: PreviewContext): Changes | Promise<Changes>;
}

/** A tool, made by `tool()`. */
export interface Tool {
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly kind: ToolKind;
  readonly resource: string | undefined;
  readonly timeoutMs: number | undefined;
  run(args: Record<string, unknown>, context: ToolContext): Promise<unknown>;
  preview?(args: Record<string, unknown>, context: PreviewContext): Promise<Changes>;
}

/** Defines a tool. Throws `TypeError` where the schema has no JSON Schema. */
export function tool<Args = Record<string, unknown>>(definition: ToolDefinition<Args>): Tool {
  const { description, input, kind = 'execute', resource, timeoutMs, execute, preview } = definition;
  const standard = isStandard(input) ? input['~standard'] : undefined;
  /** The service has checked JSON Schema already; a schema of zod's may also transform. */
  const parsed = async (args: Record<string, unknown>): Promise<Args> => {
    if (standard === undefined) return args as Args;
    const result = await standard.validate(args);
    if (result.issues !== undefined) throw new Error(result.issues.map(({ message }) => message).join('; '));
    return result.value;
  };
  return {
    description,
    inputSchema: standard === undefined ? (input as JsonSchema) : toJsonSchema(standard),
    kind,
    resource,
    timeoutMs,
    run: async (args, context) => execute(await parsed(args), context),
    ...(preview === undefined ? {} : { preview: async (args, context) => preview(await parsed(args), context) }),
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
