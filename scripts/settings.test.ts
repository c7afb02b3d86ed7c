import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SETTINGS as agentRuntime } from '../packages/agent-runtime/src/env.ts';
import { SETTINGS as gateway } from '../packages/gateway/src/env.ts';
import { SETTINGS as llmProxy } from '../packages/llm-proxy/src/env.ts';
import { envExample, settingsPage } from './settings.mjs';
import { root } from './setup.mjs';

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const services = { gateway, 'agent-runtime': agentRuntime, 'llm-proxy': llmProxy };
const variables = Object.values(services).flatMap(({ prefix, shape }) =>
  Object.keys(shape).map((name) => prefix + name),
);
const NAME = /\b(?:GATEWAY|AGENT_RUNTIME|LLM_PROXY)__[A-Z_]+\b/g;
const namesIn = (text: string) => new Set(text.match(NAME) ?? []);

describe('settings', () => {
  it('of the schemas are in .env.example, once each, and nothing else but what docker compose reads', () => {
    const lines = [...read('.env.example').matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name as string);
    const ofCompose = [...read('docker-compose.yml').matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name as string);
    expect(lines.filter((name) => NAME.test(name) || variables.includes(name)).sort()).toEqual([...variables].sort());
    expect(new Set(lines)).toEqual(new Set([...variables, 'COMPOSE_PROFILES', ...ofCompose]));
  });

  it('of the schemas are in docs/settings.md, and no others', () => {
    expect(namesIn(read('docs/settings.md'))).toEqual(new Set(variables));
  });

  it.each([
    'README.md',
    'README.ru.md',
    'PROTOCOL.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'docs/architecture.md',
    'bench/README.md',
    'docker-compose.yml',
    'docker-compose.dev.yml',
    'llm-proxy.config.example.yaml',
  ])('that %s names exist', (file) => {
    expect([...namesIn(read(file))].filter((name) => !variables.includes(name))).toEqual([]);
  });

  it('are told with their limits, defaults and kinds', () => {
    const page = settingsPage(services);
    expect(page).toContain('| `GATEWAY__PORT` | port, from 0 to 65535 | `8000` |');
    expect(page).toContain('| `LLM_PROXY__BUILTIN_DELAY_MS` | milliseconds, from 0 to 1000 | `15` |');
    expect(page).toContain('| `AGENT_RUNTIME__AGENTS_DIR` | path | none |');
  });

  it('leave a setting empty in .env.example whose default depends on where it runs', () => {
    const text = envExample(
      services,
      '# Head\n# --- gateway\nOLD=1\n# --- docker compose alone\nHEALTHCHECK_RETRIES=1\n',
    );
    expect(text).toMatch(/^# Head\n# --- gateway/);
    expect(text).toMatch(/\nAGENT_RUNTIME__DATABASE_URL=\n/);
    expect(text).toMatch(/\n# --- docker compose alone\nHEALTHCHECK_RETRIES=1\n$/);
    expect(text).not.toMatch(/^OLD=/m);
  });
});
