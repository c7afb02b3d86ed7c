import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
// Each service has its document; what holds for all of them is said once.
import { createDocument as ofRuntime } from '../packages/agent-runtime/src/api/openapi.ts';
import { createDocument } from '../packages/gateway/src/http/openapi.ts';
import { createDocument as ofProxy } from '../packages/llm-proxy/src/api/openapi.ts';
import { contract } from '../packages/protocol/src/index.ts';
import type { OpenApiDocument } from '../packages/service-kit/src/index.ts';
import { toPage } from '../packages/service-kit/src/openapi/docs.ts';

const documents: Array<[string, OpenApiDocument]> = [
  ['gateway', createDocument(contract, '1.0.0')],
  ['agent-runtime', ofRuntime('1.0.0')],
  ['llm-proxy', ofProxy('1.0.0')],
];

describe.each(documents)('the document of %s', (_name, document) => {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

  it('has a name for each operation, each once and fit for a URL', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z][A-Za-z0-9.]*$/);
  });

  it('says where it is served, under which licence, and how one shows a key', () => {
    expect(document.servers).toEqual([expect.objectContaining({ url: '/' })]);
    expect(document.info.license).toEqual({ name: 'MIT', identifier: 'MIT' });
    expect(Object.keys(document.components.securitySchemes)).toEqual(['token', 'key']);
    expect(document.security.length).toBeGreaterThan(0);
  });

  it('has for each operation what is answered when it succeeds, and when it is refused', () => {
    for (const { operation } of operations) {
      const statuses = Object.keys(operation.responses);
      expect(statuses.some((status) => status.startsWith('2'))).toBe(true);
      expect(statuses).toContain('401');
      expect(operation.summary).toMatch(/^[A-Z].*[^.]$/);
    }
  });

  it('has the parameters of each path, and refers to nothing that it does not have', () => {
    for (const { path, operation } of operations) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const given = (operation.parameters ?? []).filter((each) => each.in === 'path');
      expect(given.map(({ name }) => name).sort()).toEqual(named.sort());
    }
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref as string);
    const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect([...new Set(refs)].filter((ref) => !known.includes(ref))).toEqual([]);
    expect(known.filter((name) => !refs.includes(name))).toEqual([]);
  });

  it('has no schema that refers to itself: what is generated of one does not compile', () => {
    const refsOf = (value: unknown) =>
      [...JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name as string);
    const { schemas } = document.components;
    for (const name of Object.keys(schemas)) {
      const reached = new Set(refsOf(schemas[name]));
      for (const each of reached) for (const next of refsOf(schemas[each])) reached.add(next);
      expect(reached).not.toContain(name);
    }
  });

  it('has an example of each body, which is one', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    ajv.addFormat('base64', true);
    ajv.addSchema(document, 'openapi');
    const wrong: string[] = [];
    const check = (example: unknown, ...at: string[]) => {
      const pointer = at.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
      const validate = ajv.getSchema(`openapi#/${pointer}`);
      if (example === undefined || validate?.(example) !== true)
        wrong.push(`${at.join(' ')}: ${JSON.stringify(example)} ${ajv.errorsText(validate?.errors)}`);
    };
    for (const { path, method, operation } of operations) {
      const at = ['paths', path, method];
      for (const [type, { example }] of contentOf(operation.requestBody?.content))
        check(example, ...at, 'requestBody', 'content', type, 'schema');
      for (const [status, { content }] of Object.entries(operation.responses).filter(([each]) => each < '3'))
        for (const [type, { example }] of contentOf(content))
          check(example, ...at, 'responses', status, 'content', type, 'schema');
    }
    expect(wrong).toEqual([]);
  });

  it('is a page that has all of it, with all text escaped', () => {
    const page = toPage(document);
    for (const { path, operation } of operations) {
      expect(page).toContain(`>${path}</code>`);
      expect(page).toContain(operation.summary.replaceAll("'", '&#39;'));
    }
    const evil = { ...document, info: { ...document.info, title: '<script>alert(1)</script>' } };
    expect(toPage(evil)).not.toContain('<script');
  });
});

function contentOf(content: object = {}): Array<[string, { example?: unknown }]> {
  return Object.entries(content);
}

it("gateway's examples are taken by the contract", () => {
  const [[, { paths }]] = documents as [[string, OpenApiDocument]];
  const exampleOf = (path: string) =>
    contentOf(paths[path]?.post?.requestBody?.content).map(([, { example }]) => example as object)[0];
  const at = '/api/v1/sessions/{sessionId}';
  contract.session.create.input.parse(exampleOf('/api/v1/sessions'));
  contract.input.send.input.parse({ sessionId: 'ses_1', ...exampleOf(`${at}/inputs`) });
  contract.approval.decide.input.parse({
    sessionId: 'ses_1',
    callId: 'call_1',
    ...exampleOf(`${at}/approvals/{callId}`),
  });
  contract.tool.result.input.parse({
    sessionId: 'ses_1',
    callId: 'call_1',
    ...exampleOf(`${at}/calls/{callId}/result`),
  });
});
