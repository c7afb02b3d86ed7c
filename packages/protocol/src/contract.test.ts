import { describe, expect, it } from 'vitest';
import { contract } from './contract.ts';
import { errorCatalogue, isErrorCode } from './errors.ts';
import { commonErrors, proceduresOf } from './procedure.ts';

const procedures = proceduresOf(contract);

describe.each(procedures)('$name', ({ procedure: { summary, rest, errors, input } }) => {
  it('says what it does', () => {
    expect(summary).toMatch(/^[A-Z][a-z]+,? .*[^.]$/);
  });

  it('refuses with codes of the catalogue, each said once', () => {
    expect(errors.filter((code) => !isErrorCode(code))).toEqual([]);
    expect(new Set([...errors, ...commonErrors]).size).toBe(errors.length + commonErrors.length);
  });

  it('has a way over REST, or says why not', () => {
    if (typeof rest === 'string') return expect(rest).toMatch(/\.$/);
    expect(rest.length).toBeGreaterThan(0);
    const fields = Object.keys(input?.shape ?? {});
    for (const { path, without = [] } of rest) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(fields).toEqual(expect.arrayContaining([...inPath, ...without]));
      expect(inPath.filter((name) => without.includes(name ?? ''))).toEqual([]);
    }
  });
});

it('no two routes are the same', () => {
  const routes = procedures.flatMap(({ procedure: { rest } }) => (typeof rest === 'string' ? [] : rest));
  const named = routes.map(({ method, path }) => `${method} ${path.replace(/\{\w+\}/g, '{}')}`);
  expect(new Set(named).size).toBe(named.length);
});

it('every code that a session can be refused with is said by some procedure', () => {
  const said = new Set<string>([...commonErrors, ...procedures.flatMap(({ procedure }) => procedure.errors)]);
  const ofRunsAndModels = /^(PROVIDER_|MODEL_|CONTENT_|CONTEXT_|BUDGET_|TOOL_TIMEOUT|ANSWER_REPLACED|RUN_NOT_ACTIVE)/;
  const unsaid = Object.keys(errorCatalogue).filter((code) => !said.has(code) && !ofRunsAndModels.test(code));
  expect(unsaid).toEqual([]);
});
