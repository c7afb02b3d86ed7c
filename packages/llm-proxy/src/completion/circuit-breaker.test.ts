import { expect, it } from 'vitest';
import type { Route } from '../routing/model-router.ts';
import { createBreakers } from './circuit-breaker.ts';

const route = { provider: { id: 'one' }, model: 'm' } as Route;
const other = { provider: { id: 'one' }, model: 'n' } as Route;

it('opens after so many failures in a row, lets one request try after a while, and closes with its success', () => {
  let now = 1000;
  const breakers = createBreakers({ failures: 2, cooldownMs: 100 }, () => now);
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(0);
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(100);
  expect(breakers.admit(other)).toBe(0);
  expect(breakers.states()).toEqual([{ provider: 'one', model: 'm', state: 'open' }]);
  now += 100;
  expect(breakers.states()[0]?.state).toBe('half-open');
  expect(breakers.admit(route)).toBe(0);
  expect(breakers.admit(route)).toBeGreaterThan(0);
  breakers.released(route);
  expect(breakers.admit(route)).toBe(0);
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(100);
  now += 100;
  expect(breakers.admit(route)).toBe(0);
  breakers.succeeded(route);
  expect(breakers.admit(route)).toBe(0);
  expect(breakers.states()).toEqual([]);
});

it('a success in between begins the row anew', () => {
  const breakers = createBreakers({ failures: 2, cooldownMs: 100 });
  breakers.failed(route);
  breakers.succeeded(route);
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(0);
});

it('0 failures: it never opens', () => {
  const breakers = createBreakers({ failures: 0, cooldownMs: 100 });
  for (let count = 0; count < 10; count++) breakers.failed(route);
  expect(breakers.admit(route)).toBe(0);
});

it('remembers no more than a thousand routes', () => {
  const breakers = createBreakers({ failures: 1, cooldownMs: 100 });
  for (let count = 0; count < 1500; count++)
    breakers.failed({ provider: { id: 'one' }, model: String(count) } as Route);
  expect(breakers.states()).toHaveLength(1000);
});
