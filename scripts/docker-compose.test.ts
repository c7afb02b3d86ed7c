import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse as parseEnv } from 'dotenv';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { composeServices } from './docker-compose-for-podman.mjs';
import { KEYS_OF } from './env-keys.mjs';
import { root } from './setup.mjs';

// biome-ignore lint/suspicious/noExplicitAny: YAML, of which each test looks at its part
type Service = Record<string, any>;
const text = (name: string) => readFileSync(join(root, name), 'utf8');
const { services, volumes }: { services: Record<string, Service>; volumes: object } = parse(
  text('docker-compose.yml'),
  { merge: true },
);
const example = parseEnv(text('.env.example'));
const service = (name: string): Service => services[name] ?? {};
const own = { gateway: 'GATEWAY__', 'agent-runtime': 'AGENT_RUNTIME__', 'llm-proxy': 'LLM_PROXY__' };

describe('docker compose up -d, with a copy of .env.example', () => {
  it('starts the five containers, and the step before them', () => {
    const chosen = (example.COMPOSE_PROFILES ?? '').split(',');
    const started = Object.keys(services).filter((name) => {
      const { profiles = [] } = service(name);
      return profiles.length === 0 || profiles.some((profile: string) => chosen.includes(profile));
    });
    expect(started).toEqual(['init', 'gateway', 'agent-runtime', 'llm-proxy', 'litellm-proxy', 'ollama']);
  });

  it('starts nothing that waits for a container which is not started', () => {
    for (const [name, { depends_on = {} }] of Object.entries(services))
      for (const [other, { required = true }] of Object.entries<Service>(depends_on))
        expect(required && service(other).profiles !== undefined, `${name} waits for ${other}`).toBe(false);
  });
});

it('each port of this machine is set in .env, and open to this machine alone', () => {
  const published = Object.values(services).flatMap(({ ports = [] }) => ports as string[]);
  expect(published).toHaveLength(7);
  for (const port of published) {
    const [, name = '', fallback, inside] = /^127\.0\.0\.1:\$\{(\w+):-(\d+)\}:(\d+)$/.exec(port) ?? [];
    expect(example[name], port).toBe(fallback);
    expect(inside, port).toBe(fallback);
  }
});

it('each container says whether it is healthy; how often, and for how long, is set in .env', () => {
  for (const [name, { healthcheck }] of Object.entries(services)) {
    if (name === 'init') continue;
    expect(healthcheck.test[0], name).toBe('CMD');
    if (['litellm-proxy', 'ollama'].includes(name)) continue;
    for (const [field, variable] of [
      ['interval', 'HEALTHCHECK_INTERVAL'],
      ['timeout', 'HEALTHCHECK_TIMEOUT'],
      ['retries', 'HEALTHCHECK_RETRIES'],
    ] as const)
      expect(String(healthcheck[field]), name).toBe(`\${${variable}:-${example[variable]}}`);
  }
});

it('what a container keeps is in a volume', () => {
  const mounted = Object.values(services)
    .flatMap((each) => each.volumes ?? [])
    .map((each: string) => each.split(':')[0]);
  expect(new Set(mounted.filter((name) => !name?.startsWith('.')))).toEqual(new Set(Object.keys(volumes)));
  expect(service('postgres').volumes).toEqual(['postgres-data:/var/lib/postgresql/data']);
  expect(service('redis').volumes).toEqual(['redis-data:/data']);
});

it('postgres has the user and the database of `psql -U codelab -d codelab`, and the password that .env tells', () => {
  expect(service('postgres').environment).toEqual({
    POSTGRES_USER: 'codelab',
    POSTGRES_DB: 'codelab',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Compose that fills it in
    POSTGRES_PASSWORD: '${POSTGRES_PASSWORD:-codelab}',
  });
  expect(text('.env.example')).toContain(
    'AGENT_RUNTIME__DATABASE_URL=postgres://codelab:codelab@postgres:5432/codelab',
  );
  expect(text('docs/troubleshooting.md')).toContain('psql postgres://codelab:codelab@localhost:5432/codelab');
});

it('llm-proxy looks for Ollama and LiteLLM where they run', () => {
  const { environment } = service('llm-proxy');
  for (const variable of ['LLM_PROXY__OLLAMA_DISCOVERY_URL', 'LLM_PROXY__LITELLM_DISCOVERY_URL']) {
    const { hostname, port } = new URL(environment[variable]);
    expect(service(hostname).ports[0], hostname).toMatch(new RegExp(`:${port}$`));
  }
});

describe('litellm-proxy', () => {
  interface Params {
    model: string;
    api_key: string;
  }
  const { model_list: models }: { model_list: Array<{ model_name: string; litellm_params: Params }> } = parse(
    text('litellm.config.yaml'),
  );
  const { command, volumes: mounts, environment } = service('litellm-proxy');

  it('reads its models from a file of this folder, which it cannot write', () => {
    const [[file = '', inside, mode] = []] = mounts.map((mount: string) => mount.split(':'));
    expect(existsSync(join(root, file))).toBe(true);
    expect([inside, mode]).toEqual([command[command.indexOf('--config') + 1], 'ro']);
    expect(command).toContain(service('litellm-proxy').ports[0].split(':').at(-1));
  });

  it('serves all models of the providers whose keys .env has', () => {
    expect(models.map(({ model_name }) => model_name)).toEqual(['openai/*', 'anthropic/*']);
    for (const { model_name, litellm_params } of models) {
      expect(litellm_params.model).toBe(model_name);
      const [, variable = ''] = /^os\.environ\/(\w+)$/.exec(litellm_params.api_key) ?? [];
      const [, setting = ''] = /^\$\{(\w+):-\}$/.exec(environment[variable]) ?? [];
      expect(setting).toBe(`LLM_PROXY__${model_name.slice(0, -2).toUpperCase()}_API_KEY`);
      expect(example).toHaveProperty(setting);
    }
  });
});

describe('with a value for everything in .env', () => {
  let work: string;
  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), 'codelab-compose-'));
    for (const name of ['docker-compose.yml', 'docker-compose.dev.yml']) writeFileSync(join(work, name), text(name));
    const all = [...Object.keys(example), 'SOME_PROVIDERS_KEY'].map((name) => `${name}=of ${name}\n`);
    writeFileSync(join(work, '.env'), all.join(''));
  });
  afterEach(() => rmSync(work, { recursive: true, force: true }));

  /** What a container has in its environment. */
  const environmentOf = (name: string): Record<string, string> => {
    const { environment = {}, env_file } = composeServices({ folder: work, work })[name] ?? {};
    return { ...(env_file === undefined ? {} : parseEnv(readFileSync(env_file, 'utf8'))), ...environment };
  };

  it.each(Object.entries(own))('%s has each of its settings but those of compose', (name, prefix) => {
    const fixed = /__(HOST|PORT|AGENT_RUNTIME_URL|LLM_PROXY_URL|OLLAMA_DISCOVERY_URL|LITELLM_DISCOVERY_URL)$/;
    const environment = environmentOf(name);
    for (const variable of Object.keys(example).filter((each) => each.startsWith(prefix)))
      if (fixed.test(variable)) expect(environment[variable], variable).not.toContain('of ');
      else expect(environment[variable], variable).toBe(`of ${variable}`);
  });

  it.each(Object.entries(own))('%s has its own keys, and no secret of another', (name, prefix) => {
    const keys = KEYS_OF[name] ?? [];
    for (const [variable, value] of Object.entries(environmentOf(name))) {
      if (value === '' || !/KEY|PASSWORD|DATABASE_URL/.test(variable) || variable.startsWith(prefix)) continue;
      expect(variable === 'SOME_PROVIDERS_KEY' ? name === 'llm-proxy' : keys.includes(variable), variable).toBe(true);
    }
    expect(service(name).volumes).toContain(`keys-${name}:/run/codelab:ro`);
  });
});

describe('docker-compose.dev.yml', () => {
  const dev: Record<string, Service> = parse(text('docker-compose.dev.yml'), { merge: true }).services;

  it('builds a service anew when dependencies change, as its sources are mounted', () => {
    for (const name of Object.keys(own)) {
      expect(dev[name]?.develop.watch, name).toContainEqual({ action: 'rebuild', path: 'package-lock.json' });
      expect(dev[name]?.volumes, name).toContain('./packages:/app/packages');
    }
  });

  it('needs no variable of the shell, and gives its volume to who owns the sources', () => {
    expect(text('docker-compose.dev.yml')).not.toMatch(/\$\{/);
    expect(dev.init?.command).toContain('/data=project');
    expect(dev.init?.volumes).toEqual(['agent-runtime-dev:/data']);
    expect(dev['agent-runtime']?.volumes).toContain('agent-runtime-dev:/data');
  });
});
