// Validates arguments against JSON Schemas, in a thread of its own that may be terminated at any moment: some schemas and values take for ever, or all memory.
// Gets {id, schema, args?} with the schema as JSON text; answers {id, isCompiled: true}, then {id, invalidArguments?} or
// {id, invalidSchema}. Plain JavaScript, because a thread of Node 20 takes nothing else.
import { parentPort, workerData } from 'node:worker_threads';
import { Ajv } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';

const options = {
  strict: false,
  allErrors: true,
  validateFormats: false,
  // A validator runs a few times: optimizing it costs more than it saves.
  code: { optimize: false, regExp: toRegExp },
};
/** Compiles each dialect's own schema once. */
const dialects = new Map();

/** Compiled schemas by their text, in order of use. */
const known = new Map();
let knownLength = 0;

function compile(text) {
  const { $schema, ...schema } = JSON.parse(text);
  try {
    return compileAs(Ajv2020, schema);
  } catch (error) {
    const older = /draft-0[67]/.test($schema) ? Ajv : /2019-09/.test($schema) ? Ajv2019 : undefined;
    if (older === undefined) throw error;
    return compileAs(older, schema);
  }
}

function compileAs(Dialect, schema) {
  let dialect = dialects.get(Dialect);
  if (dialect === undefined) {
    dialect = new Dialect(options);
    dialects.set(Dialect, dialect);
  }
  if (!dialect.validateSchema(schema))
    throw new Error(dialect.errorsText(dialect.errors.slice(0, 5), { dataVar: 'schema' }));
  // Each schema has an instance of its own: ids within different schemas may clash.
  return new Dialect({ ...options, validateSchema: false }).compile(schema);
}

/** Compiles a pattern without the `u` flag where it is invalid with it: many are written so, although JSON Schema asks for the flag. */
function toRegExp(pattern) {
  try {
    return new RegExp(pattern, 'u');
  } catch {
    return new RegExp(pattern);
  }
}
toRegExp.code = 'toRegExp';

function validatorOf(text) {
  let validate = known.get(text);
  if (validate === undefined) {
    validate = compile(text);
    knownLength += text.length;
  } else known.delete(text);
  known.set(text, validate);
  for (const oldest of known.keys()) {
    if (knownLength <= workerData.keptLength || known.size === 1) break;
    known.delete(oldest);
    knownLength -= oldest.length;
  }
  return validate;
}

function describe({ instancePath, message, params }) {
  const at = instancePath === '' ? 'the arguments' : instancePath.slice(1).replaceAll('/', '.');
  const more =
    'allowedValues' in params
      ? `: ${params.allowedValues.join(', ')}`
      : 'additionalProperty' in params
        ? `: ${params.additionalProperty}`
        : '';
  return `${at} ${message}${more}`.slice(0, 500);
}

parentPort.on('message', ({ id, schema, args }) => {
  try {
    const validate = validatorOf(schema);
    parentPort.postMessage({ id, isCompiled: true });
    if (args === undefined || validate(args)) parentPort.postMessage({ id });
    else parentPort.postMessage({ id, invalidArguments: validate.errors.slice(0, 10).map(describe).join('; ') });
  } catch ({ message }) {
    parentPort.postMessage({ id, invalidSchema: String(message).slice(0, 1000) });
  }
});
compile('{"type":"object"}');
parentPort.postMessage({ isReady: true });
