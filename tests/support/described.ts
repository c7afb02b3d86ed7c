import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { keys, type Stack } from './stack.ts';

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into by the tests
type Any = any;

/** Calls gateway's REST as `/openapi.json` says, and believes nothing else. */
export interface DescribedClient {
  /** Lists the operations of the document, as `GET /api/v1/sessions`. */
  operations: string[];
  /** Has the operations that were answered with success. */
  called: Set<string>;
  /**
   * Calls an operation, and returns the body of its answer.
   * Throws where it is refused, where the request or the answer is not as the document says, and where they have fields that it does not name.
   */
  call(operation: string, input?: Record<string, unknown>): Promise<Any>;
  /** Calls an operation that is refused, and returns the error. Throws as `call` does. */
  refused(operation: string, input: Record<string, unknown>): Promise<{ code: string; status: number }>;
  /** Follows an operation that answers with events. Throws as `call` does. */
  events(operation: string, input: Record<string, unknown>): AsyncGenerator<Any, void, undefined>;
}

/** Reads `/openapi.json`, and checks all that is said from then on. */
export async function describedClient(stack: Stack): Promise<DescribedClient> {
  const headers = { authorization: `Bearer ${keys.gateway}` };
  const document = closed(await (await fetch(`${stack.gateway.url}/openapi.json`, { headers })).json()) as Any;
  const ajv = createAjv();
  ajv.addSchema(document, 'openapi');
  const check = (value: unknown, ...at: string[]): void => {
    const pointer = at.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
    const validate = ajv.getSchema(`openapi#/${pointer}`);
    if (validate === undefined) throw new Error(`There is no schema at ${at.join(' ')}.`);
    if (validate(value) !== true)
      throw new Error(`${at.join(' ')}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value, null, 1)}`);
  };
  const called = new Set<string>();

  const send = async (operation: string, input: Record<string, unknown>) => {
    const [method = '', template = ''] = operation.split(' ');
    const at = ['paths', template, method.toLowerCase()];
    const description = document.paths[template][method.toLowerCase()];
    const rest = { ...input };
    const query = new URLSearchParams();
    let path = template;
    for (const { name, in: place } of description.parameters ?? []) {
      if (rest[name] === undefined) continue;
      if (place === 'path') path = path.replace(`{${name}}`, encodeURIComponent(String(rest[name])));
      else if (place === 'query') query.set(name, String(rest[name]));
      delete rest[name];
    }
    if (description.requestBody !== undefined)
      check(rest, ...at, 'requestBody', 'content', 'application/json', 'schema');
    const response = await fetch(`${stack.gateway.url}${path}?${query}`, {
      method,
      headers: { ...headers, ...(description.requestBody === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(description.requestBody === undefined ? {} : { body: JSON.stringify(rest) }),
    });
    const status = String(response.status);
    const type = response.headers.get('content-type')?.split(';')[0] ?? '';
    if (response.ok) called.add(operation);
    const where = [...at, 'responses', status in description.responses ? status : 'default', 'content', type, 'schema'];
    return { response, check: (body: unknown) => check(body, ...where) };
  };

  return {
    operations: Object.entries<Any>(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    ),
    called,
    async call(operation, input = {}) {
      const { response, check } = await send(operation, input);
      const body = (await response.json()) as Any;
      check(body);
      if (!response.ok) throw new Error(`${operation}: ${JSON.stringify(body)}`);
      return body;
    },
    async refused(operation, input) {
      const { response, check } = await send(operation, input);
      const body = (await response.json()) as Any;
      check(body);
      if (response.ok) throw new Error(`${operation} was not refused: ${JSON.stringify(body)}`);
      return { code: body.error.code, status: response.status };
    },
    async *events(operation, input) {
      const { response, check } = await send(operation, input);
      let text = '';
      for await (const part of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
        const whole = (text + part).split('\n\n');
        text = whole.pop() ?? '';
        for (const message of whole) {
          const data = message
            .split('\n')
            .find((line) => line.startsWith('data: '))
            ?.slice(6);
          if (data === undefined || data === '[DONE]') continue;
          const value = JSON.parse(data);
          check(value);
          yield value;
        }
      }
    },
  };
}

/** Checks events against the JSON Schema that the SDK ships. What it returns throws where one has a field that the schema does not name. */
export function eventChecker(): (event: unknown) => void {
  const file = new URL('../../packages/sdk/schema/session-event.schema.json', import.meta.url);
  const validate = createAjv().compile(closed(JSON.parse(readFileSync(file, 'utf8'))) as object);
  return (event) => {
    if (validate(event) !== true)
      throw new Error(`${JSON.stringify(validate.errors)}\n${JSON.stringify(event, null, 1)}`);
  };
}

function createAjv(): Ajv2020 {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  ajv.addFormat('base64', true);
  return ajv;
}

/** Copies a document so that an object has the fields that its schema names, and no others. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, closed(entry)]));
  const isObjectSchema = copy.type === 'object' && typeof copy.properties === 'object';
  return isObjectSchema && copy.additionalProperties === undefined ? { ...copy, additionalProperties: false } : copy;
}
