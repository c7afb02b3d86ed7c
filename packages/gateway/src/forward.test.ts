import { type Contract, contract, mutation, query } from '@codelab/protocol';
import { createLifecycle, createLogger, type Handlers, implement, type ServiceContext } from '@codelab/service-kit';
import Fastify from 'fastify';
import { expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { forward } from './forward.ts';
import { createDocument } from './http/openapi.ts';
import { restPlugin } from './http/rest.ts';

const Toy = z.object({ name: z.string(), wheels: z.int(), bought: z.date() });

/** A contract that nobody has written code for. */
const toys = {
  toy: {
    get: query({
      summary: 'Get a toy',
      input: z.object({ name: z.string(), wheels: z.int().default(4) }),
      output: Toy,
      errors: ['NOT_FOUND'],
      rest: [{ method: 'GET', path: '/toys/{name}' }],
    }),
    buy: mutation({
      summary: 'Buy a toy',
      input: z.object({ name: z.string() }),
      output: z.object({ price: z.number() }),
      rest: [{ method: 'POST', path: '/toys', status: 201 }],
    }),
    count: query({ summary: 'Count the toys', output: z.object({ count: z.int() }), rest: 'Nobody asks over REST.' }),
  },
} satisfies Contract;

const bought = new Date(1_000);
const handlers: Handlers<typeof toys> = {
  toy: {
    get: ({ input: { name, wheels } }) => ({ name, wheels, bought }),
    buy: async ({ input: { name } }) => ({ price: name.length }),
    count: () => ({ count: 2 }),
  },
};

const context: ServiceContext = {
  requestId: 'req_1',
  refusal: undefined,
  credentials: { headers: {} },
  log: createLogger({ service: 'test', level: 'silent' }),
  lifecycle: createLifecycle(),
  backpressure: { isFull: false, writable: async () => {}, cut: () => {} },
};

/** The service behind, and gateway in front of it. */
function makeToys() {
  const behind = implement(toys, handlers).createCaller(context);
  const asked: Array<[type: string, name: string, input: object]> = [];
  const forwarded = forward(toys, {
    async call(type, name, input) {
      asked.push([type, name, input]);
      return (behind.toy as unknown as Record<string, (input: object) => unknown>)[name.slice('toy.'.length)]?.(input);
    },
  });
  return { asked, router: implement(toys, forwarded) };
}

it('a new procedure of a contract is implemented and forwarded, with its types', async () => {
  const { asked, router } = makeToys();
  const caller = router.createCaller(context);
  const toy = await caller.toy.get({ name: 'car', requestId: 'req_2' });
  expectTypeOf(toy).toEqualTypeOf<z.output<typeof Toy>>();
  expectTypeOf(caller.toy.get)
    .parameter(0)
    .toEqualTypeOf<{ name: string; wheels?: number | undefined; requestId?: string | undefined }>();
  expect(toy).toEqual({ name: 'car', wheels: 4, bought });
  expect(await caller.toy.count()).toEqual({ count: 2 });
  expect(asked[0]).toEqual(['query', 'toy.get', { name: 'car', wheels: 4, requestId: 'req_2' }]);
  await expect(caller.toy.get({ name: 7 as never })).rejects.toThrow();
});

it('handlers that do not fit the contract do not compile', () => {
  expectTypeOf<{ toy: { get: Handlers<typeof toys>['toy']['get'] } }>().not.toExtend<Handlers<typeof toys>>();
  expectTypeOf<() => { count: string }>().not.toExtend<Handlers<typeof toys>['toy']['count']>();
});

it('its routes are served', async () => {
  const app = Fastify({ genReqId: () => 'req_3' });
  const { asked, router } = makeToys();
  await app.register(restPlugin({ contract: toys, router, makeContext: () => context }));
  const got = await app.inject('/toys/car?wheels=3');
  expect([got.statusCode, got.json()]).toEqual([200, { name: 'car', wheels: 3, bought: bought.toISOString() }]);
  const made = await app.inject({ method: 'POST', url: '/toys', payload: { name: 'ball' } });
  expect([made.statusCode, made.json()]).toEqual([201, { price: 4 }]);
  expect(asked.map(([, name, input]) => [name, input])).toEqual([
    ['toy.get', { name: 'car', wheels: 3, requestId: 'req_3' }],
    ['toy.buy', { name: 'ball', requestId: 'req_3' }],
  ]);
});

it('its routes are described', () => {
  const { paths } = createDocument(toys, '1');
  expect(paths['/toys/{name}']).toMatchObject({
    get: {
      operationId: 'toy.get',
      summary: 'Get a toy',
      parameters: [
        { name: 'name', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'wheels', in: 'query', required: false, schema: { type: 'integer', default: 4 } },
      ],
      responses: {
        200: {
          content: {
            'application/json': {
              schema: {
                properties: { bought: { type: 'string', format: 'date-time' } },
                required: ['name', 'wheels', 'bought'],
              },
            },
          },
        },
        404: {},
        default: {},
      },
    },
  });
  expect(paths['/toys']).toMatchObject({
    post: { requestBody: { required: true, content: { 'application/json': { schema: { required: ['name'] } } } } },
  });
});

it('no schema of /openapi.json is empty: a generated client has no type that is unknown', () => {
  const said = ['type', '$ref', 'anyOf', 'oneOf', 'const', 'enum'];
  const empty: string[] = [];
  const schemaAt = (schema: unknown, at: string): void => {
    if (typeof schema !== 'object' || schema === null) return void empty.push(at);
    const {
      properties = {},
      items,
      additionalProperties,
      anyOf = [],
      oneOf = [],
    } = schema as Record<string, object | false>;
    if (!said.some((keyword) => keyword in schema)) empty.push(at);
    for (const [name, property] of Object.entries(properties)) schemaAt(property, `${at}.${name}`);
    for (const [index, part] of [...Object.values(anyOf), ...Object.values(oneOf)].entries())
      schemaAt(part, `${at}|${index}`);
    if ('items' in schema || (schema as { type?: string }).type === 'array') schemaAt(items, `${at}[]`);
    // `false` has no type to be unknown: there are no others.
    if (additionalProperties !== undefined && additionalProperties !== false) schemaAt(additionalProperties, `${at}{}`);
    if (
      (schema as { type?: string }).type === 'object' &&
      !('properties' in schema || 'additionalProperties' in schema)
    )
      empty.push(at);
  };
  const visit = (value: unknown, at: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, entry] of Object.entries(value))
      if (key === 'schema') schemaAt(entry, at);
      else visit(entry, `${at} ${key}`);
  };
  const document = createDocument(contract, '1');
  visit(document.paths, '');
  const { JsonValue: _, ...named } = document.components.schemas;
  for (const [name, schema] of Object.entries(named)) schemaAt(schema, name);
  expect(empty).toEqual([]);
});
