import { expect, it } from 'vitest';
import { createStreamQueue } from './stream-queue.ts';

const make = (limitBytes = 1000) =>
  createStreamQueue<string>({
    size: (text) => text.length,
    limitBytes,
    merge: (a, b) => (a[0] === b[0] && a[0] !== '!' ? a + b : undefined),
    onOverflow: () => new Error('overflow'),
  });

async function read(queue: AsyncIterable<string>): Promise<string[]> {
  const values: string[] = [];
  for await (const value of queue) values.push(value);
  return values;
}

it('gives what was pushed, neighbours merged, then ends', async () => {
  const queue = make();
  for (const value of ['a1', 'a2', 'b1', 'a3', '!', '!']) queue.push(value);
  queue.end();
  queue.push('late');
  expect(await read(queue)).toEqual(['a1a2', 'b1', 'a3', '!', '!']);
});

it('wakes a reader that waits', async () => {
  const queue = make();
  const reader = queue[Symbol.asyncIterator]();
  const first = reader.next();
  queue.push('x');
  expect((await first).value).toBe('x');
  const second = reader.next();
  queue.end();
  expect((await second).done).toBe(true);
});

it('gives the error after what was pushed before it', async () => {
  const queue = make();
  queue.push('x');
  queue.fail(new Error('broken'));
  const reader = queue[Symbol.asyncIterator]();
  expect((await reader.next()).value).toBe('x');
  await expect(reader.next()).rejects.toThrow('broken');
});

it.each([
  ['many small values', () => '!'.repeat(10), 101],
  ['one that grows by merging', () => 'aaaaaaaaaa', 101],
])('holds no more than its limit: %s', async (_, value, count) => {
  const queue = make(1000);
  for (let i = 0; i < count; i++) queue.push(value());
  await expect(read(queue)).rejects.toThrow('overflow');
});

it('takes as much as fits, again and again, while it is read', async () => {
  const queue = make(100);
  const reader = queue[Symbol.asyncIterator]();
  for (let i = 0; i < 1000; i++) {
    queue.push(`!${i}`);
    expect((await reader.next()).value).toBe(`!${i}`);
  }
});
