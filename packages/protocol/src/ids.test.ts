import { expect, it } from 'vitest';
import { InputId, RequestId, SessionId } from './ids.ts';
import { newId } from './new-id.ts';

it.each(['demo', 'user-session-1', 'test_session', 'ab', 'x'.repeat(128), '550e8400-e29b-41d4-a716-446655440000'])(
  '%s is a session id',
  (id) => {
    expect(SessionId.parse(id)).toBe(id);
  },
);

it.each(['', 'x', 'x'.repeat(129), 'a b', 'a/b', 'сессия', 'a\n', '../../etc', 7, null])('%j is not', (id) => {
  expect(SessionId.safeParse(id).success).toBe(false);
});

it('new ids are valid, different, and sort by age', () => {
  const ids = Array.from({ length: 1000 }, () => newId('in'));
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) expect([InputId.safeParse(id).success, RequestId.safeParse(id).success]).toEqual([true, true]);
  const times = ids.map((id) => id.slice(0, 12));
  expect(times).toEqual([...times].sort());
});
