// What `npm start` says when the services are up.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const LIST_WITHIN_MS = 2000;
/** Number of models that are named where there may be many. */
const NAMED = 3;
const PROVIDERS = ['OPENAI', 'ANTHROPIC', 'OLLAMA', 'LITELLM'];

/**
 * Whether llm-proxy has a provider, or a default model, of a person's own: else builtin/agent answers.
 * @param {Record<string, string | undefined>} variables @param {string} root
 */
export async function hasProvider(variables, root) {
  const settings = PROVIDERS.flatMap((name) => [`LLM_PROXY__${name}_API_KEY`, `LLM_PROXY__${name}_BASE_URL`]);
  if (settings.some((name) => variables[name]?.trim())) return true;
  const model = variables.LLM_PROXY__DEFAULT_MODEL?.trim();
  if (model) return !model.startsWith('builtin/');
  const named = variables.LLM_PROXY__CONFIG?.trim();
  const home = join(root, 'packages', 'llm-proxy');
  const files = named
    ? [resolve(home, named)]
    : [home, join(root, 'packages'), root].map((folder) => join(folder, 'llm-proxy.config.yaml'));
  const file = files.find((path) => existsSync(path));
  if (file === undefined) return false;
  const { parse } = await import('yaml');
  return Object.keys(parse(readFileSync(file, 'utf8'))?.providers ?? {}).length > 0;
}

/**
 * Returns the models that llm-proxy has found by itself, by their full names. An empty list where it does not answer at once.
 * @param {string} url of llm-proxy @param {string} key
 * @returns {Promise<string[]>}
 */
export async function foundModels(url, key) {
  try {
    const response = await fetch(`${url}/v1/models`, {
      headers: { 'x-internal-auth': key },
      signal: AbortSignal.timeout(LIST_WITHIN_MS),
    });
    const { data } = await response.json();
    return data.filter(({ provider }) => !['builtin', 'alias'].includes(provider)).map(({ id }) => id);
  } catch {
    return [];
  }
}

/**
 * @param {{ services: Array<{ name: string, port: number }>, hasProvider: boolean, found?: string[], platform?: NodeJS.Platform }} options
 * @returns {string}
 */
export function banner({ services, hasProvider: isConfigured, found = [], platform = process.platform }) {
  const urls = services.map(({ name, port }) => `  ${name.padEnd(14)} http://localhost:${port}`).reverse();
  const port = services.find(({ name }) => name === 'agent-runtime')?.port;
  const model = isConfigured ? '' : `\nNo provider is configured: builtin/agent answers. ${howToChoose(found)}\n`;
  return `
All three services are healthy:
${urls.join('\n')}
${model}
Try it, in another terminal:

${platform === 'win32' ? forPowerShell(port) : forShell(port)}

or: npm run chat        Ctrl+C stops everything.

`;
}

/** @param {string[]} found */
function howToChoose(found) {
  const [first] = found;
  const keys = 'put LLM_PROXY__OPENAI_API_KEY or LLM_PROXY__ANTHROPIC_API_KEY into .env.';
  if (first === undefined) return `For a real model ${keys}`;
  const more = found.length > NAMED ? ` and ${found.length - NAMED} more` : '';
  return `Found here: ${found.slice(0, NAMED).join(', ')}${more}.
To have one of them answer, put LLM_PROXY__DEFAULT_MODEL=${first} into .env and start again, or name it in a call.
For others ${keys}`;
}

/** @param {number | undefined} port */
const forShell = (port) => `  set -a; . ./.env; set +a
  curl -N -X POST http://localhost:${port}/agent/message/stream \\
    -H "X-Internal-Auth: \${AGENT_RUNTIME__INTERNAL_API_KEY}" -H "Content-Type: application/json" \\
    -d '{"session_id": "demo", "type": "user_message", "content": "Hello!"}'`;

/** @param {number | undefined} port */
const forPowerShell = (port) => `  $key = (Get-Content .env) -match '^AGENT_RUNTIME__INTERNAL_API_KEY=' -replace '^.*?='
  Invoke-RestMethod http://localhost:${port}/agent/message/stream -Method Post -ContentType 'application/json' \`
    -Headers @{ 'X-Internal-Auth' = "$key" } -Body '{"session_id": "demo", "type": "user_message", "content": "Hello!"}'`;
