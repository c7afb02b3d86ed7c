import type { Logger } from '@codelab/service-kit';
import { expect, it } from 'vitest';
import type { Route } from '../routing/model-router.ts';
import { createBreakers } from './circuit-breaker.ts';

const logged: Array<Record<string, unknown>> = [];
const note = (fields: Record<string, unknown>) => logged.push(fields);
const log = { info: note, warn: note } as unknown as Logger;
let time = 1000;
const make = (failures: number) => createBreakers({ failures, cooldownMs: 100, now: () => time, log });
const route = { provider: { id: 'one' }, model: 'm' } as Route;
const other = { provider: { id: 'one' }, model: 'n' } as Route;

it('opens after so many failures in a row, lets one request try after a while, and closes with its success', () => {
  const breakers = make(2);
  logged.length = 0;
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(0);
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(100);
  expect(breakers.admit(other)).toBe(0);
  expect(breakers.states()).toEqual([{ provider: 'one', model: 'm', state: 'open' }]);
  time += 100;
  expect(breakers.states()[0]?.state).toBe('half-open');
  expect(breakers.admit(route)).toBe(0);
  expect(breakers.admit(route)).toBeGreaterThan(0);
  breakers.released(route);
  expect(breakers.admit(route)).toBe(0);
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(100);
  time += 100;
  expect(breakers.admit(route)).toBe(0);
  breakers.succeeded(route);
  expect(breakers.admit(route)).toBe(0);
  expect(breakers.states()).toEqual([]);
  expect(logged.map(({ event }) => event)).toEqual(['circuit_breaker.opened', 'circuit_breaker.closed']);
});

it('a success in between begins the row anew', () => {
  const breakers = make(2);
  breakers.failed(route);
  breakers.succeeded(route);
  breakers.failed(route);
  expect(breakers.admit(route)).toBe(0);
});

it('0 failures: it never opens', () => {
  const breakers = make(0);
  for (let count = 0; count < 10; count++) breakers.failed(route);
  expect(breakers.admit(route)).toBe(0);
});

it('remembers no more than a thousand routes', () => {
  const breakers = make(1);
  for (let count = 0; count < 1500; count++)
    breakers.failed({ provider: { id: 'one' }, model: String(count) } as Route);
  expect(breakers.states()).toHaveLength(1000);
});
