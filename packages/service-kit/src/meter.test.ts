import { CodelabError } from '@codelab/protocol';
import { expect, it } from 'vitest';
import { createMeters, type Place } from './meter.ts';
import { ADDRESS_LIMITS, CLIENT_LIMITS, UNKNOWN_SOCKETS } from './socket-limits.ts';

const limited = (message: RegExp) =>
  expect.objectContaining({ code: 'RATE_LIMITED', message: expect.stringMatching(message) });
const limits = { ...CLIENT_LIMITS, subscriptions: 3, calls: 2 };

it('a socket has so many calls and subscriptions, each place is given back once', () => {
  const meter = createMeters().open('a', limits);
  const [first] = [meter.enter('query'), meter.enter('mutation')];
  expect(() => meter.enter('query')).toThrow(limited(/2 calls of this socket are at work, .*wait for some/));
  first?.();
  meter.enter('query');
  const leave = [1, 2, 3].map(() => meter.enter('subscription'));
  expect(() => meter.enter('subscription')).toThrow(limited(/3 subscriptions of this socket are open, .*end some/));
  leave[0]?.();
  leave[0]?.();
  meter.enter('subscription');
  expect(() => meter.enter('subscription')).toThrow(limited(/3 subscriptions/));
});

it('an address has so many over all its sockets; another, and a service of ours, is not concerned', () => {
  const meters = createMeters();
  const many = { ...limits, subscriptions: ADDRESS_LIMITS.subscriptions };
  const first = meters.open('a', many);
  for (let i = 0; i < ADDRESS_LIMITS.subscriptions; i++) first.enter('subscription');
  const second = meters.open('a', many);
  expect(() => second.enter('subscription')).toThrow(limited(/of this address are open/));
  meters.open('b', many).enter('subscription');
  meters.open(undefined, many).enter('subscription');
  first.close();
  first.close();
  second.enter('subscription');
});

it('an address has so many sockets, and fewer of those that have shown no token', () => {
  const meters = createMeters();
  const unknown = Array.from({ length: UNKNOWN_SOCKETS }, () => meters.arrive('a', false) as Place);
  expect(meters.arrive('a', false)).toEqual(limited(/have shown no token yet, .*show one/));
  expect(meters.arrive('a', true)).not.toBeInstanceOf(CodelabError);
  expect(meters.arrive('b', false)).not.toBeInstanceOf(CodelabError);
  unknown[0]?.known();
  unknown[0]?.known();
  expect(meters.arrive('a', false)).not.toBeInstanceOf(CodelabError);
  unknown[1]?.leave();
  expect(meters.arrive('a', false)).not.toBeInstanceOf(CodelabError);
  for (let i = UNKNOWN_SOCKETS + 2; i < ADDRESS_LIMITS.sockets; i++) meters.arrive('a', true);
  expect(meters.arrive('a', true)).toEqual(limited(/sockets of this address are open, .*close some/));
});

it('an address holds so much in messages that are not whole; a ping within one takes nothing off it', () => {
  const meters = createMeters();
  const [first, second] = [meters.open('a', limits), meters.open('a', limits)];
  const half = ADDRESS_LIMITS.bytes / 2;
  expect(first.bytes(half)).toBe(true);
  expect(second.bytes(half)).toBe(true);
  expect(second.bytes(1)).toBe(false);
  second.whole(1);
  expect(second.bytes(1)).toBe(false);
  first.whole();
  expect(second.bytes(1)).toBe(true);
  second.close();
  expect(first.bytes(half * 2)).toBe(true);
  expect(meters.open(undefined, limits).bytes(half * 4)).toBe(true);
});
