// The tables and types of PROTOCOL.md that are made from the contract.
import { protocolTypes } from './sdk-types.mjs';

/** @typedef {import('zod').ZodType} Schema */
/** @typedef {typeof import('../packages/protocol/src/index.ts')} Protocol */

/** Limits the fields that are told: of an answer with more only the name is. */
const MAX_FIELDS = 5;
const MAX_CHOICES = 3;

/**
 * Returns the text of PROTOCOL.md with its tables and types as the contract says.
 * Throws where the place of one is not marked.
 * @param {Protocol} protocol
 * @param {string} text
 * @param {(source: string) => string} format formats TypeScript
 * @returns {string}
 */
export function protocolTables(protocol, text, format) {
  const { contract, schemas, proceduresOf } = protocol;
  const procedures = proceduresOf(contract);
  const names = new Map(Object.entries(schemas).map(([name, schema]) => [schema, name]));
  const answer = (/** @type {import('../packages/protocol/src/index.ts').Procedure} */ { type, output }) => {
    if (type === 'subscription') return 'events';
    const fields = shapeOf(output);
    const name = names.get(output);
    return Object.keys(fields).length > MAX_FIELDS && name !== undefined ? name : code(fieldsOf(fields, 'output'));
  };
  const procedureTable = table(
    ['procedure', 'takes', 'answers', 'refuses with', 'does'],
    procedures.map(({ name, procedure }) => [
      code(name),
      code(fieldsOf(procedure.input?.shape ?? {}, 'input')),
      answer(procedure),
      procedure.errors.map(code).join(', '),
      [procedure.summary, ...(procedure.notes === undefined ? [] : [procedure.notes])]
        .join('. ')
        .replaceAll('PROTOCOL.md ', '')
        .replace(/\.$/, ''),
    ]),
  );
  const restTable = table(
    ['route', 'procedure', 'status'],
    procedures.flatMap(({ name, procedure: { rest } }) =>
      typeof rest === 'string'
        ? [[rest, code(name), '']]
        : rest.map(({ method, path, status = 200 }) => [code(`${method} ${path}`), code(name), String(status)]),
    ),
  );
  const { events, ...types } = protocolTypes(protocol);
  const parts = {
    procedures: procedureTable,
    routes: restTable,
    'shapes of procedures': typescript(types.procedures, format),
    chunk: typescript(types.chunk, format),
    types: typescript(types.types, format),
  };
  const shapes = Object.entries(events).map(([type, shape]) => [`event ${type}`, typescript(shape, format)]);
  return [...Object.entries(parts), ...shapes].reduce(
    (changed, [name = '', made = '']) => replaced(changed, name, made),
    text,
  );
}

/** @param {string} text @param {string} name @param {string} made */
function replaced(text, name, made) {
  const begin = `<!-- generated: ${name} -->\n`;
  const end = '<!-- end of generated -->';
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`PROTOCOL.md must have "${begin.trim()}" and "${end}".`);
  return `${text.slice(0, from + begin.length)}\n${made}\n${text.slice(to)}`;
}

/** @param {string} source @param {(source: string) => string} format */
function typescript(source, format) {
  return `\`\`\`ts\n${format(source)}\`\`\`\n`;
}

/** @param {string[]} head @param {string[][]} rows */
function table(head, rows) {
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

/** @param {string} text */
function code(text) {
  return `\`${text}\``;
}

/** @param {Schema} schema @returns {Record<string, Schema>} */
function shapeOf(schema) {
  return /** @type {{ shape?: Record<string, Schema> }} */ (/** @type {unknown} */ (schema)).shape ?? {};
}

/** @param {Record<string, Schema>} shape @param {'input' | 'output'} direction */
function fieldsOf(shape, direction) {
  return `{${Object.entries(shape)
    .map(([name, field]) => fieldOf(name, field, direction))
    .join(', ')}}`;
}

/** Writes a field as `limit? ≤ 200 = 50`. @param {string} name @param {Schema} field @param {'input' | 'output'} direction */
function fieldOf(name, field, direction) {
  const isOptional = (direction === 'input' ? field._zod.optin : field._zod.optout) !== undefined;
  const { inner, fallback } = unwrapped(field);
  const { def } = /** @type {any} */ (inner._zod);
  const choices = def.type === 'enum' ? Object.values(def.entries) : def.type === 'literal' ? def.values : [];
  const limit = limitOf(inner);
  return [
    `${name}${isOptional ? '?' : ''}`,
    ...(choices.length > 0 && choices.length <= MAX_CHOICES
      ? [`: ${choices.map((/** @type {string} */ choice) => `'${choice}'`).join(' | ')}`]
      : []),
    ...(typeof limit === 'number' && limit < 2 ** 31 ? [` ≤ ${limit.toLocaleString('en')}`] : []),
    ...(fallback === undefined || fallback === ''
      ? []
      : [` = ${typeof fallback === 'string' ? `'${fallback}'` : fallback?.toLocaleString('en')}`]),
  ].join('');
}

/** Returns the largest number, or the length of the longest list, where there is one. @param {Schema} schema @returns {number | undefined} */
function limitOf(schema) {
  const { type, checks = [] } = schema._zod.def;
  if (type === 'number') return /** @type {{ maxValue?: number }} */ (/** @type {unknown} */ (schema)).maxValue;
  if (type !== 'array') return undefined;
  const defs = checks.map((check) => /** @type {{ check: string, maximum?: number }} */ (check._zod.def));
  return defs.find(({ check }) => check === 'max_length')?.maximum;
}

/** Takes the wrappers off a field, and returns the default that one of them gives. @param {Schema} field */
function unwrapped(field) {
  let inner = field;
  /** @type {unknown} */
  let fallback;
  for (;;) {
    const def = /** @type {any} */ (inner._zod.def);
    if (def.type === 'default') fallback = def.defaultValue;
    if (def.innerType === undefined) return { inner, fallback };
    inner = def.innerType;
  }
}
