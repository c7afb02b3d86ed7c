import { z } from 'zod';

/** Is a JSON Schema of draft 2020-12. https://json-schema.org/draft/2020-12 */
export interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  required?: string[];
  [keyword: string]: unknown;
}

type Schemas = Record<string, JsonSchema>;

const PREFIX = '#/components/schemas/';

/** Returns a reference to a schema of the document's components. */
export function refTo(name: string): JsonSchema {
  return { $ref: PREFIX + name };
}

export interface JsonSchemasOptions {
  /** Has the schemas that others refer to, by their names as components. */
  named: Record<string, z.ZodType>;
  /** Has what callers send, by any names. */
  inputs: Record<string, z.ZodType>;
  /** Has what they are answered, by any names. */
  outputs: Record<string, z.ZodType>;
}

/**
 * Turns schemas of zod into JSON Schemas that refer to the named ones. A named one that callers may send with less than they would be
 * answered (it has defaults) is two components: `Name` and `NameInput`.
 */
export function toJsonSchemas({ named, inputs, outputs }: JsonSchemasOptions): {
  components: Schemas;
  /** Stand in full, as a route takes some of the fields from the path and the others from elsewhere. */
  inputs: Schemas;
  outputs: Schemas;
} {
  const answered = convert(named, outputs, 'output');
  const sent = convert(named, inputs, 'input');
  const differing = differences(answered.named, sent.named);
  const rename = (schema: JsonSchema): JsonSchema =>
    mapRefs(schema, (name) => (differing.has(name) ? `${name}Input` : name));
  const renamed = Object.entries(sent.named).flatMap(([name, schema]) =>
    differing.has(name) ? [[`${name}Input`, rename(schema)] as const] : [],
  );
  return {
    components: { ...answered.named, ...Object.fromEntries(renamed) },
    inputs: Object.fromEntries(
      Object.entries(sent.others).map(([name, schema]) => [name, rename(resolve(schema, sent.named))]),
    ),
    outputs: answered.others,
  };
}

/** Returns the components that `root` refers to, and the ones that they refer to. */
export function reachable(components: Schemas, root: unknown): Schemas {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    for (const name of refsOf(value)) {
      if (found.has(name)) continue;
      found.add(name);
      visit(components[name]);
    }
  };
  visit(root);
  return Object.fromEntries(Object.entries(components).filter(([name]) => found.has(name)));
}

/** Names the object under which the others are converted, all in one. */
const OTHERS = '*';

function convert(named: Record<string, z.ZodType>, others: Record<string, z.ZodType>, io: 'input' | 'output') {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  registry.add(z.object(others), { id: OTHERS });
  const { schemas } = z.toJSONSchema(registry, {
    io,
    unrepresentable: 'any',
    uri: (id) => PREFIX + id,
    override({ zodSchema, jsonSchema }) {
      const { type } = zodSchema._zod.def;
      // JSON has dates as text.
      if (type === 'date') Object.assign(jsonSchema, { type: 'string', format: 'date-time' });
      // A later version may answer with more.
      if (type === 'object' && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  const all = Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _, $id: __, ...schema }]) => [name, schema as JsonSchema]),
  );
  const { [OTHERS]: wrapper, ...rest } = all;
  return { named: rest, others: wrapper?.properties ?? {} };
}

function resolve(schema: JsonSchema, named: Schemas): JsonSchema {
  return (typeof schema.$ref === 'string' ? named[schema.$ref.slice(PREFIX.length)] : undefined) ?? schema;
}

function differences(a: Schemas, b: Schemas): Set<string> {
  const names = Object.keys(a);
  const differing = new Set(names.filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name])));
  for (let size = -1; size !== differing.size; ) {
    size = differing.size;
    for (const name of names) if (refsOf(a[name]).some((ref) => differing.has(ref))) differing.add(name);
  }
  return differing;
}

function refsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, entry]) =>
    key === '$ref' && typeof entry === 'string' ? [entry.slice(PREFIX.length)] : refsOf(entry),
  );
}

function mapRefs<T>(value: T, rename: (name: string) => string): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => mapRefs(entry, rename)) as T;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) =>
      key === '$ref' && typeof entry === 'string'
        ? [key, PREFIX + rename(entry.slice(PREFIX.length))]
        : [key, mapRefs(entry, rename)],
    ),
  ) as T;
}
