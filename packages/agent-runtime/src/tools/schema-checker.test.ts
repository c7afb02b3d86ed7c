import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createSchemaChecker, type SchemaChecker } from './schema-checker.ts';

// What takes for ever is given its time.
vi.setConfig({ testTimeout: 30_000 });

let schemas: SchemaChecker;
beforeEach(() => {
  schemas = createSchemaChecker();
});
afterEach(() => schemas.close());

const object = (properties: Record<string, unknown>, more: object = {}) => ({
  type: 'object' as const,
  properties,
  ...more,
});
const plain = object({ a: { type: 'string' } });
const names = Array.from({ length: 50 }, (_, index) => `n${index}`);
const deep = (levels: number): object =>
  levels === 0 ? { type: 'number' } : { anyOf: [deep(levels - 1), deep(levels - 1)] };

it.each<[string, ReturnType<typeof object>, object]>([
  // Millions of mistakes, each of which is kept.
  ['mistakes', object({ x: { items: { required: names } } }), { x: Array.from({ length: 300_000 }, () => ({})) }],
  ['mistakes of alternatives', object({ x: { items: deep(8) } }), { x: Array.from({ length: 100_000 }, () => 'a') }],
])('what takes too much memory fails alone, and the next check is as good as ever: %s', async (_, schema, args) => {
  expect(await schemas.validateArguments(schema, args)).toContain('too long or too much memory');
  expect(await schemas.validateArguments(plain, { a: 'x' })).toBeUndefined();
  expect(await schemas.validateArguments(plain, { a: 1 })).toBe('a must be string');
});

it('one that has taken too long once holds up nobody else', async () => {
  const slow = object({ x: { pattern: '^(a+)+$' } });
  const args = { x: `${'a'.repeat(40)}!` };
  expect(await schemas.validateArguments(slow, args)).toContain('too long');
  const again = schemas.validateArguments(slow, args);
  let isDone = false;
  void again.then(() => {
    isDone = true;
  });
  expect(await schemas.validateArguments(plain, { a: 'x' })).toBeUndefined();
  expect(isDone).toBe(false);
  await again;
});

it('nobody waits for what is given up, or for a checker that is closed', async () => {
  const slow = object({ x: { pattern: '^(a+)+$' } });
  const args = { x: `${'a'.repeat(40)}!` };
  const stop = new AbortController();
  const [first, second] = [
    schemas.validateArguments(slow, args, stop.signal),
    schemas.validateArguments(plain, {}, stop.signal),
  ];
  stop.abort();
  expect(await first).toContain('was stopped');
  expect(await second).toContain('was stopped');
  const last = schemas.validateArguments(slow, args);
  await schemas.close();
  expect(await last).toContain('could not be checked in time');
  expect(await schemas.validateArguments(plain, {})).toContain('could not be checked in time');
});

it('takes keys of any name', async () => {
  const schema = JSON.parse(
    '{"type":"object","properties":{"__proto__":{"type":"string"},"constructor":{"type":"number"}}}',
  );
  expect(await schemas.validateArguments(schema, JSON.parse('{"__proto__":"x","constructor":1}'))).toBeUndefined();
  expect(await schemas.validateArguments(schema, JSON.parse('{"__proto__":"x","constructor":"y"}'))).toContain(
    'constructor must be number',
  );
});
