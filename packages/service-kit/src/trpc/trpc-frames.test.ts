import { describe, expect, it } from 'vitest';
import { createFrameGuard } from '../frame-guard.ts';
import { CLIENT_LIMITS } from '../socket-limits.ts';
import { sortFrame } from './trpc-frames.ts';

const sort = (text: string) =>
  sortFrame(
    Buffer.from(text),
    createFrameGuard({ ...CLIENT_LIMITS, burst: 20 }, () => 0),
  );
const call = (id: unknown, input: unknown = { json: {} }) => ({ id, method: 'query', params: { path: 'a.b', input } });
const deep = `${'['.repeat(600)}${']'.repeat(600)}`;

it('lets whole calls through as they are, and stops', () => {
  const calls = [call(1), call('two'), { ...call(3), jsonrpc: '2.0' }, { id: 1, method: 'subscription.stop' }];
  expect(sort(JSON.stringify(calls))).toEqual({ taken: calls, refused: [] });
  expect(sort(JSON.stringify(call(1)))).toEqual({ taken: [call(1)], refused: [] });
  expect(sort('{"id":1,"method":"subscription","params":{"path":"a","lastEventId":"x"}}').taken).toHaveLength(1);
});

it('deserialises what is annotated, so that one bad call spoils no other', () => {
  const { taken, refused } = sort(
    JSON.stringify([
      call(1, { json: { at: '2026-01-02T03:04:05.000Z' }, meta: { values: { at: ['Date'] }, v: 1 } }),
      call(2, { json: ['1'], meta: { values: { 0: ['bigint'] }, v: 1 } }),
      call(3),
    ]),
  );
  expect(taken.map(({ id }) => id)).toEqual([1, 3]);
  expect(taken[0]?.params.input).toEqual({ json: { at: new Date('2026-01-02T03:04:05Z') } });
  expect(refused).toMatchObject([{ id: 2, error: { code: 'VALIDATION' } }]);
});

describe('each call that is none is answered by itself', () => {
  it.each([
    ['null', null],
    ['7', null],
    ['"text"', null],
    ['{}', null],
    ['{"id":null,"method":"query","params":{"path":"a"}}', null],
    ['{"id":5,"method":"steal","params":{"path":"a"}}', 5],
    ['{"id":5,"params":{"path":"a"}}', 5],
    ['{"id":5,"method":"query"}', 5],
    ['{"id":5,"method":"query","params":{"path":7}}', 5],
    ['{"id":5,"method":"query","params":[]}', 5],
    ['{"id":5,"method":"query","params":{"path":"a","lastEventId":7}}', 5],
    ['{"id":5,"jsonrpc":"1.0","method":"query","params":{"path":"a"}}', 5],
  ])('%s', (text, id) => {
    expect(sort(text)).toMatchObject({ taken: [], refused: [{ id, error: { code: 'VALIDATION' } }] });
    expect(sort(`[${text},${JSON.stringify(call(9))}]`)).toMatchObject({ taken: [{ id: 9 }], refused: [{ id }] });
  });

  it('what is no JSON, with null as its id', () => {
    expect(sort('{"id":1')).toMatchObject({
      refused: [{ id: null, error: { code: 'VALIDATION' } }],
      isSenseless: true,
    });
  });
});

it('refuses each call that is too much, by its id; a stop always goes through; a flood is not answered to its end', () => {
  const stop = { id: 3, method: 'subscription.stop' };
  const { taken, refused } = sort(JSON.stringify([...Array.from({ length: 30 }, (_, i) => call(i)), stop]));
  expect(taken).toEqual([...Array.from({ length: 20 }, (_, i) => call(i)), stop]);
  expect(refused).toHaveLength(10);
  expect(refused[7]).toMatchObject({ id: 27, error: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) } });
  expect(sort(JSON.stringify(Array.from({ length: 1_000 }, (_, i) => call(i)))).refused).toHaveLength(41);
});

describe('what is nested too deep is not parsed, and its calls are answered all the same', () => {
  it.each([
    ['one call', `{"id":1,"method":"query","params":{"path":"a","input":{"json":${deep}}}}`, [1]],
    ['an id that comes last', `{"params":{"input":${deep},"id":4},"id" : "last"}`, ['last']],
    ['a batch', `[{"id":1,"x":{"id":2}},{"x":"\\"id\\":9","id":3,"y":${deep}}, {"id":"d"}]`, [1, 3, 'd']],
    ['no id', deep, [null]],
    ['an id that is none', `{"id":{"a":1},"x":${deep}}`, [null]],
    ['a string that does not end', `{"x":${deep},"id":5,"y":"`, [5]],
  ])('%s', (_, text, ids) => {
    const { taken, refused, isSenseless } = sort(text);
    expect(taken).toEqual([]);
    expect(refused.map(({ id }) => id)).toEqual(ids);
    for (const { error } of refused) expect(error).toMatchObject({ code: 'VALIDATION', retryable: false });
    expect(isSenseless).toBe(true);
  });
});
