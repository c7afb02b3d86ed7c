import { expect, it } from 'vitest';
import { checkPromises, testNames } from './security-check.mjs';

const file = `
  describe('a group', () => {
    it('holds', () => {});
    it.each([1])("it's %s", () => {});
    it.skip('is skipped', () => {});
    it(\`\${name} too\`, () => {});
  });
  say('is no test');
`;
const read = (path: string) => (path === 'a.test.ts' ? file : undefined);
const check = (text: string) => checkPromises(text, read).mistakes;

it('the names of tests are found however they are written, and those of skipped tests are not', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a name as it stands in the source
  expect(testNames(file)).toEqual(['a group', 'holds', "it's %s", '${name} too']);
});

it('a promise with a test is kept', () => {
  const text =
    "# S\n- **One.** Said\n  so. Test: `a.test.ts` “holds”, “it's\n  %s”\n- **Two.** Test: `a.test.ts` “a group”\n";
  expect(checkPromises(text, read)).toEqual({ promises: 2, mistakes: [] });
});

it('a promise without a test, or with one that is not there, is told', () => {
  expect(check('- **One.** Believe me.')).toEqual(['“One.” names no test.']);
  expect(check('- **One.** Test: `b.test.ts` “holds”')).toEqual(['“One.”: there is no b.test.ts.']);
  expect(check('- **One.** Test: `a.test.ts`')).toEqual(['“One.” names no test of a.test.ts.']);
  expect(check('- **One.** Test: `a.test.ts` “is skipped”')).toEqual(['“One.”: a.test.ts has no test “is skipped”.']);
  expect(check('- We are good.')).toEqual([
    'An item is neither a promise in bold type nor under “Not promised”: - We are good.',
  ]);
});

it('what is not promised needs none', () => {
  expect(check('# S\n- **One.** Test: `a.test.ts` “holds”\n\n### Not promised\n\n- Anything.\n')).toEqual([]);
});
