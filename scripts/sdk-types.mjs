// The public types of the SDK, written out from the schemas of the contract: none of zod's, tRPC's or ours are in the published .d.ts.

/** @typedef {import('zod').ZodType} Schema */
/** @typedef {'input' | 'output'} Direction what a caller may give, or what it is answered */
/** @typedef {{ print(schema: Schema, direction: Direction): string, textOf(schema: Schema): string | undefined }} Printer */
/** @typedef {typeof import('../packages/protocol/src/index.ts')} Protocol */

/** Names them as the SDK does, where the protocol has another name. */
const NAMES = /** @type {Record<string, string>} */ ({
  Session: 'SessionInfo',
  SessionCreate: 'CreateSessionOptions',
  RememberedRule: 'Rule',
  Model: 'ModelInfo',
  Run: 'RunInfo',
});

const LINE = 116;

/**
 * Returns the text of `packages/sdk/src/types.ts`, not formatted.
 * Throws for a schema that it has no type for.
 * @param {Protocol} protocol
 * @returns {string}
 */
export function sdkTypes({ contract, schemas, proceduresOf, errorCatalogue }) {
  const printer = createPrinter(schemas);
  const procedures = proceduresOf(contract);
  const events = procedures.filter(({ procedure }) => procedure.type === 'subscription');
  const calls = procedures.filter(({ procedure }) => procedure.type !== 'subscription');
  const signatures = calls.map(({ name, procedure }) => {
    const { summary, notes } = procedure;
    const text = [summary, ...(notes === undefined ? [] : [notes.replace(/\.$/, '')])].join('. ');
    return `${comment(`${text}.`)}${signature(name, procedure, printer)}`;
  });
  const streams = events.map(
    ({ name, procedure }) => `${comment(`${procedure.summary}.`)}${signature(name, procedure, printer)}`,
  );
  return `// Generated from packages/protocol/src by "npm run generate": what is to be changed is changed there.

${printer.declarations()}
${comment('An event with its cursor: pass the `id` as `lastEventId` to go on after it.')}export type TrackedSessionEvent = SessionEvent & { id: string };

${comment("The codes of errors. The list may grow: treat a code you don't know by `retryable`.")}export type ErrorCode = ${Object.keys(
    errorCatalogue,
  )
    .map((code) => `'${code}'`)
    .join(' | ')};

${comment('Says what each procedure takes and answers: the types of `client.call`.')}export interface Procedures {
${signatures.join('\n')}
}

${comment('Says what each subscription takes, and what its events are.')}export interface Subscriptions {
${streams.join('\n')}
}

/** Says which procedures only look, and which change something. */
export const procedureTypes = {
${calls.map(({ name, procedure }) => `'${name}': '${procedure.type}',`).join('\n')}
} as const satisfies Record<keyof Procedures, 'query' | 'mutation'>;
`;
}

/**
 * @param {string} name
 * @param {import('../packages/protocol/src/index.ts').Procedure} procedure
 * @param {Printer} printer
 */
function signature(name, { input, output }, printer) {
  const taken = input === undefined ? 'Record<string, never>' : printer.print(input, 'input');
  return `'${name}': { input: ${taken}; output: ${printer.print(output, 'output')} };`;
}

/**
 * Returns the shapes that PROTOCOL.md shows, not formatted: of each event by its type, without `seq` and `ts`, which all of them have;
 * of the procedures; of what llm-proxy streams; and the types that all of these refer to.
 * Throws for a schema that it has no type for.
 * @param {Protocol} protocol
 * @returns {{ events: Record<string, string>, procedures: string, chunk: string, types: string }}
 */
export function protocolTypes({ contract, schemas, eventSchemas, proceduresOf, CompletionChunk }) {
  const printer = createPrinter(schemas);
  const events = Object.entries(eventSchemas).map(([name, schema]) => {
    const { seq: _, ts: __, ...shape } = /** @type {Record<string, Schema>} */ (schema.shape);
    const fields = Object.entries(shape).map(([field, of]) => printField(field, of, 'output', printer));
    return [schema.shape.type.value, `interface ${name} {\n${fields.join('')}}`];
  });
  const calls = proceduresOf(contract).filter(({ procedure }) => procedure.type !== 'subscription');
  const signatures = calls.map(({ name, procedure }) => signature(name, procedure, printer));
  return {
    events: Object.fromEntries(events),
    procedures: `interface Procedures {\n${signatures.join('\n')}\n}`,
    chunk: `type CompletionChunk = ${printer.print(CompletionChunk, 'output')};`,
    types: printer.declarations().replaceAll(/^export /gm, ''),
  };
}

/** @param {string | undefined} text */
function comment(text) {
  if (text === undefined) return '';
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line.length + word.length >= LINE) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.length === 1 ? `/** ${lines[0]} */\n` : `/**\n${lines.map((line) => ` * ${line}\n`).join('')} */\n`;
}

/** @param {Record<string, Schema>} schemas those that have a name */
function createPrinter(schemas) {
  const names = new Map(Object.entries(schemas).map(([name, schema]) => [schema, NAMES[name] ?? name]));
  /** Has the declarations that something refers to, by their names. @type {Map<string, string>} */
  const declared = new Map();

  /** Finds the named schema that a schema is; one that only was described anew is the same type. @param {Schema} schema @returns {Schema | undefined} */
  const namedOf = (schema) => {
    /** @type {Schema | undefined} */
    let at = schema;
    while (at !== undefined && !names.has(at)) at = /** @type {Schema | undefined} */ (at._zod.parent);
    return at;
  };

  /** Returns what is to be said of a schema here; of a named one that is said where it is declared. @param {Schema} schema */
  const textOf = (schema) => (schema.description === namedOf(schema)?.description ? undefined : schema.description);

  /** Returns a schema's type, without declaring anything. @param {Schema} schema @param {Direction} direction @returns {string} */
  const refer = (schema, direction) => {
    const named = namedOf(schema);
    // Any JSON is unknown to TypeScript too.
    if (named === undefined || named === schemas.JsonValue)
      return printBody(schema, direction, { print: refer, textOf });
    const [taken, given] = [
      printBody(named, 'input', { print: refer, textOf }),
      printBody(named, 'output', { print: refer, textOf }),
    ];
    return `${names.get(named)}${direction === 'input' && taken !== given ? 'Input' : ''}`;
  };

  /** Refers to a schema, and declares it. @param {Schema} schema @param {Direction} direction @returns {string} */
  const print = (schema, direction) => {
    const named = namedOf(schema);
    if (named === undefined || named === schemas.JsonValue) return printBody(schema, direction, printer);
    const name = refer(named, direction);
    if (!declared.has(name)) {
      // Its place is before those that it refers to.
      declared.set(name, '');
      const body = printBody(named, direction, printer);
      const isObject = named._zod.def.type === 'object';
      declared.set(
        name,
        `${comment(named.description)}export ${isObject ? `interface ${name} ${body}` : `type ${name} = ${body};`}\n`,
      );
    }
    return name;
  };
  /** @type {Printer} */
  const printer = { print, textOf };
  return { print, textOf, declarations: () => [...declared.values()].join('\n') };
}

/**
 * @param {Schema} schema
 * @param {Direction} direction
 * @param {Printer} printer of what is in it
 * @returns {string}
 */
function printBody(schema, direction, printer) {
  const { print } = printer;
  const def = /** @type {any} */ (schema._zod.def);
  switch (def.type) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
    case 'unknown':
      return def.type;
    case 'date':
      return 'Date';
    case 'literal':
      return def.values.map(literal).join(' | ');
    case 'enum':
      return Object.values(def.entries).map(literal).join(' | ');
    case 'array':
      return arrayOf(print(def.element, direction));
    case 'union':
      return printUnion(def.options, direction, printer);
    case 'nullable':
      return `${print(def.innerType, direction)} | null`;
    case 'optional':
    case 'default':
      return print(def.innerType, direction);
    case 'object':
      return `{\n${Object.entries(def.shape)
        .map(([name, field]) => printField(name, field, direction, printer))
        .join('')}}`;
    case 'custom':
      return printFree(schema);
    default:
      throw new Error(`There is no type for a schema of zod's type "${def.type}": sdk-types.mjs needs one.`);
  }
}

/**
 * @param {string} name
 * @param {Schema} field
 * @param {Direction} direction
 * @param {Printer} printer
 */
function printField(name, field, direction, { print, textOf }) {
  const { optin, optout, traits } = field._zod;
  const isOptional = (direction === 'input' ? optin : optout) !== undefined;
  const type = print(field, direction);
  const mayBeUndefined = isOptional && type !== 'unknown' && !traits.has('$ZodExactOptional');
  return `${comment(textOf(field))}${name}${isOptional ? '?' : ''}: ${type}${mayBeUndefined ? ' | undefined' : ''};\n`;
}

/** @param {Schema[]} options @param {Direction} direction @param {Printer} printer */
function printUnion(options, direction, { print, textOf }) {
  const printed = options.map((option) => ({ text: textOf(option), type: print(option, direction) }));
  // A text that is one of some is a text.
  const kept = printed.some(({ type }) => type === 'string')
    ? printed.filter(({ type }) => !type.startsWith("'"))
    : printed;
  return kept.map(({ text, type }) => (kept.length === 1 ? type : `\n${comment(text)}| ${type}`)).join('');
}

/** @param {string} type */
function arrayOf(type) {
  return /^\w+$/.test(type) ? `${type}[]` : `Array<${type}>`;
}

/** Prints an object of any keys, as its JSON Schema says. @param {Schema} schema */
function printFree(schema) {
  const { type, properties, additionalProperties } = /** @type {import('zod').GlobalMeta} */ (schema.meta() ?? {});
  const values = /** @type {{ type?: string } | undefined} */ (additionalProperties)?.type ?? 'unknown';
  if (type !== 'object') throw new Error('A custom schema must say by its meta that it is one of an object.');
  if (properties === undefined) return `Record<string, ${values}>`;
  const known = Object.entries(/** @type {Record<string, { const: unknown }>} */ (properties)).map(
    ([name, property]) => `${name}: ${literal(property.const)};`,
  );
  return `{ ${known.join(' ')} [keyword: string]: ${values} }`;
}

/** @param {unknown} value */
function literal(value) {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}
