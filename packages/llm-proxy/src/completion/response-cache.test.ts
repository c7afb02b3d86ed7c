import { expect, it } from 'vitest';
import { cacheKeyOf, createResponseCache } from './response-cache.ts';

const put = (cache: ReturnType<typeof createResponseCache>, key: string, ...parts: unknown[]) => {
  const recording = cache.open(key);
  for (const part of parts) recording?.add(part);
  recording?.keep();
};

it('keeps what was whole, as copies', () => {
  const cache = createResponseCache({ ttl_seconds: 60, max_bytes: 10_000 });
  const packet = Buffer.from('one');
  put(cache, 'k', packet, 'two');
  packet.write('xxx');
  expect(cache.open('k')?.parts?.map(String)).toEqual(['one', 'two']);
  cache.open('other')?.add('never kept');
  expect(cache.open('other')?.parts).toBeUndefined();
});

it('keeps nothing that is too long, and forgets the oldest', () => {
  const cache = createResponseCache({ ttl_seconds: 60, max_bytes: 3_000_000 });
  put(cache, 'long', 'x'.repeat(300_000), 'x'.repeat(300_000));
  expect(cache.open('long')?.parts).toBeUndefined();
  for (let count = 0; count < 5; count++) put(cache, `k${count}`, Buffer.alloc(900_000));
  expect(cache.open('k0')?.parts).toBeUndefined();
  expect(cache.open('k4')?.parts).toHaveLength(1);
});

it('is off unless asked for; a key is of a door and of each byte', () => {
  expect(createResponseCache(undefined).open('k')).toBeUndefined();
  expect(cacheKeyOf('a', 'b')).not.toBe(cacheKeyOf('a', 'c'));
  expect(cacheKeyOf('ab', '')).not.toBe(cacheKeyOf('a', 'b'));
});
