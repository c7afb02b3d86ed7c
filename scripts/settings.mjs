// What the schemas of the settings say, for people: docs/settings.md and .env.example.

/** @typedef {import('zod').ZodType} Schema */
/** @typedef {import('../packages/service-kit/src/env.ts').SettingsOfService} SettingsOfService */
/** @typedef {{ variable: string, type: string, written: string, fallback: string, description: string }} Setting */

const LINE = 138;
const COMPOSE = '# --- docker compose alone';

/** Says of each service what it is; their order is that of the documents. */
const SERVICES = /** @type {Record<string, string>} */ ({
  gateway: 'what IDEs and curl talk to',
  'agent-runtime': 'sessions and runs',
  'llm-proxy': 'the providers',
});

/**
 * Returns the text of docs/settings.md.
 * @param {Record<string, SettingsOfService>} services by their names
 */
export function settingsPage(services) {
  const sections = Object.entries(SERVICES).map(([name, what]) => {
    const rows = settingsOf(service(services, name)).map(({ variable, type, fallback, description }) =>
      [`\`${variable}\``, type, fallback, description].map((cell) => cell.replaceAll('|', '\\|')).join(' | '),
    );
    return `## ${name}: ${what}

| variable | value | default | meaning |
| --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}
`;
  });
  return `# Settings

Generated from the schemas in \`packages/*/src/env.ts\` by \`npm run generate\`: what is to be changed is changed there.

A setting is a variable of the environment, or a line of \`.env\`.
A service looks for \`.env\` in its own folder, then in each one above it up to the root of the checkout.
The environment wins over \`.env\`, and an empty value means the default.
A service with wrong settings names all of them and exits.
A variable with a service's prefix that no setting has is named in its log: most likely it is misspelt.
\`.env.example\` lists the same settings, to be copied.

${sections.join('\n')}
## docker compose

\`docker-compose.yml\` sets \`…__HOST\`, and the ports and addresses inside the containers; \`…__PORT\` are the ports of this machine there.
\`COMPOSE_PROFILES\` says what it starts besides the three services: \`litellm\`, \`ollama\`, \`postgres\`, \`redis\`.
\`LITELLM_PORT\`, \`OLLAMA_PORT\`, \`POSTGRES_PORT\` and \`REDIS_PORT\` are their ports of this machine.
\`POSTGRES_PASSWORD\` is the password of the user \`codelab\`.
It also reads \`HEALTHCHECK_INTERVAL\`, \`HEALTHCHECK_TIMEOUT\` and \`HEALTHCHECK_RETRIES\`: how often a container is asked whether it is healthy.
`;
}

/**
 * Returns the text of .env.example: its head and its part about docker compose stay as they are.
 * @param {Record<string, SettingsOfService>} services by their names
 * @param {string} text what it is now
 */
export function envExample(services, text) {
  const head = text.indexOf('# --- ');
  const tail = text.indexOf(COMPOSE);
  if (head < 0 || tail < 0) throw new Error(`.env.example must have a line that begins with "${COMPOSE}".`);
  const sections = Object.entries(SERVICES).map(([name, what]) => {
    const lines = settingsOf(service(services, name)).map(({ variable, type, written, fallback, description }) => {
      const kind = type === 'text' || type.startsWith('port') ? [] : [`Value: ${type}.`];
      const otherwise = written === '' && fallback !== 'none' ? [`Default: ${fallback}.`] : [];
      return `${comment([description, ...kind, ...otherwise].join(' ').replaceAll('`', ''))}${variable}=${written}\n`;
    });
    return `${`# --- ${name}: ${what} `.padEnd(120, '-')}\n${lines.join('')}\n`;
  });
  return text.slice(0, head) + sections.join('') + text.slice(tail);
}

/** Returns what people are told of each setting. Throws where a schema does not describe it. @param {SettingsOfService} service @returns {Setting[]} */
function settingsOf({ prefix, shape }) {
  return Object.entries(shape).map(([name, field]) => {
    const schema = /** @type {Schema} */ (field);
    const variable = prefix + name;
    const description = schema.description;
    if (description === undefined) throw new Error(`${variable} has no description in its schema.`);
    const { title, fallback, value } = facts(schema);
    const written = fallback !== undefined || value === undefined ? '' : String(value);
    return {
      variable,
      type: typeOf(schema, title),
      written,
      fallback: fallback ?? (written === '' ? 'none' : `\`${written}\``),
      description,
    };
  });
}

/** Returns what the schema and those that it wraps say of themselves. @param {Schema} schema */
function facts(schema) {
  /** @type {{ title?: string, fallback?: string, value?: unknown }} */
  const found = {};
  for (const each of wrappers(schema)) {
    const meta = /** @type {{ title?: string, fallback?: string }} */ (each.meta() ?? {});
    found.title ??= meta.title;
    found.fallback ??= meta.fallback;
    found.value ??= /** @type {{ defaultValue?: unknown }} */ (each._zod.def).defaultValue;
  }
  return found;
}

/** Says what a value may be. @param {Schema} schema @param {string | undefined} title @returns {string} */
function typeOf(schema, title) {
  for (const each of wrappers(schema)) {
    const def = /** @type {{ type: string, entries?: Record<string, string> }} */ (
      /** @type {unknown} */ (each._zod.def)
    );
    if (def.type === 'enum')
      return Object.values(def.entries ?? {})
        .map((entry) => `\`${entry}\``)
        .join(', ');
    if (def.type !== 'number') continue;
    const { minValue, maxValue } = /** @type {{ minValue: number | null, maxValue: number | null }} */ (
      /** @type {unknown} */ (each)
    );
    const limits = [
      minValue === null || minValue === Number.MIN_SAFE_INTEGER ? [] : [`from ${minValue}`],
      maxValue === null || maxValue >= 2 ** 31 - 1 ? [] : [`to ${maxValue}`],
    ].flat();
    return [title ?? 'number', ...limits].join(' ').replace(/(number|\w) (?=from|to)/, '$1, ');
  }
  return title ?? 'text';
}

/** Yields a schema, what it wraps, and what comes before and after a pipe. @param {Schema} schema @returns {Generator<Schema>} */
function* wrappers(schema) {
  yield schema;
  const {
    innerType,
    in: before,
    out: after,
  } = /** @type {{ innerType?: Schema, in?: Schema, out?: Schema }} */ (/** @type {unknown} */ (schema._zod.def));
  for (const each of [innerType, before, after]) if (each !== undefined) yield* wrappers(each);
}

/** @param {Record<string, SettingsOfService>} services @param {string} name */
function service(services, name) {
  const found = services[name];
  if (found === undefined) throw new Error(`There are no settings of ${name}.`);
  return found;
}

/** @param {string} text */
function comment(text) {
  const lines = ['#'];
  for (const word of text.split(' ')) {
    if ((lines.at(-1) ?? '').length + word.length >= LINE) lines.push('#');
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines.map((line) => `${line}\n`).join('');
}
