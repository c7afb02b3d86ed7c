import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { OpenApiDocument, Operation } from './document.ts';
import type { JsonSchema } from './json-schemas.ts';

const STYLE = `
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:13px/1.5 ui-monospace,monospace}
pre{overflow:auto;padding:.7rem;border:1px solid #8884;border-radius:6px}
summary{cursor:pointer;padding:.35rem 0}
details details{margin-left:1rem}
table{border-collapse:collapse}
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}
.method{display:inline-block;min-width:4.5rem;font-weight:600}
.path{margin-right:1rem}
`;

/** Allows the page its own style, and nothing else: it has no script, and loads nothing. https://www.w3.org/TR/CSP3 */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves `/docs`, to who may use the service: an OpenAPI document as a page to read. */
export function docsRoute(document: OpenApiDocument) {
  const page = toPage(document);
  return async (app: FastifyInstance) => {
    app.get('/docs', { config: { asksBrowser: true } }, async (_request, reply) => {
      reply.header('content-security-policy', POLICY);
      reply.header('referrer-policy', 'no-referrer');
      return reply.type('text/html; charset=utf-8').send(page);
    });
  };
}

/** Returns the page of a document. All of its text is escaped. */
export function toPage({ info, paths, components }: OpenApiDocument): string {
  const byTag = new Map<string, string[]>();
  for (const [path, operations] of Object.entries(paths))
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? '';
      byTag.set(tag, [...(byTag.get(tag) ?? []), operationOf(method, path, operation)]);
    }
  const groups = [...byTag].map(([tag, operations]) => `<h2 id="${text(tag)}">${text(tag)}</h2>${operations.join('')}`);
  const links = [...byTag.keys()].map((tag) => `<a href="#${text(tag)}">${text(tag)}</a>`);
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<details id="schema-${text(name)}"><summary><code>${text(name)}</code></summary>${json(schema)}</details>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${text(info.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${text(info.title)} ${text(info.version)}</h1>
<p>${text(info.description)} The same as JSON: <a href="/openapi.json"><code>/openapi.json</code></a>.</p>
<p>A call shows its key in the header <code>X-Internal-Auth</code>, or as <code>Authorization: Bearer</code>.</p>
<p>${links.join(' · ')} · <a href="#schemas">schemas</a></p>
${groups.join('\n')}
<h2 id="schemas">schemas</h2>
${schemas.join('\n')}
</body>
</html>
`;
}

function operationOf(method: string, path: string, operation: Operation): string {
  const { summary, description, parameters = [], requestBody, responses } = operation;
  const rows = parameters.map(
    ({ name, in: place, required, schema }) =>
      `<tr><td><code>${text(name)}</code></td><td>${place}${required ? ', required' : ''}</td><td>${text(String(schema.description ?? schema.type ?? ''))}</td></tr>`,
  );
  const answers = Object.entries(responses).map(
    ([status, { description, content }]) =>
      `<details><summary>${text(status)}: ${text(description)}</summary>${bodies(content)}</details>`,
  );
  return `<details><summary><span class="method">${text(method.toUpperCase())}</span><code class="path">${text(path)}</code>${text(summary)}</summary>
${description === undefined ? '' : `<p>${text(description)}</p>`}
${rows.length === 0 ? '' : `<table>${rows.join('')}</table>`}
${requestBody === undefined ? '' : `<details open><summary>Body</summary>${bodies(requestBody.content)}</details>`}
${answers.join('')}
</details>`;
}

function bodies(content: Record<string, { schema: JsonSchema; example?: unknown }>): string {
  return Object.entries(content)
    .map(
      ([type, { schema, example }]) =>
        `<p><code>${text(type)}</code> ${linkTo(schema)}</p>${example === undefined ? '' : json(example)}${schema.$ref === undefined ? json(schema) : ''}`,
    )
    .join('');
}

function linkTo({ $ref }: JsonSchema): string {
  if (typeof $ref !== 'string') return '';
  const name = $ref.slice($ref.lastIndexOf('/') + 1);
  return `<a href="#schema-${text(name)}">${text(name)}</a>`;
}

function json(value: unknown): string {
  return `<pre>${text(JSON.stringify(value, null, 2))}</pre>`;
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => ESCAPES[character] as string);
}
