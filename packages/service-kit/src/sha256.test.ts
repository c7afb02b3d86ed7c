import { expect, it } from 'vitest';
import { fingerprint, sha256 } from './sha256.ts';

it('is SHA-256, of one part or of many', () => {
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(sha256('abc').toString('hex')).toBe(abc);
  expect(sha256('a', Buffer.from('b'), 'c').toString('hex')).toBe(abc);
});

it('gives the fingerprint that databases have', () => {
  expect(fingerprint(['fork', 'ses_1', undefined, 'title'])).toBe('o0YmtD3JxHqPMyJAa5gj-DdD87nbivcXtdtaPd_q9oE');
  expect(fingerprint({ a: 1 })).not.toBe(fingerprint({ a: 2 }));
});
