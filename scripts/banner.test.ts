import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { banner, foundModels, hasProvider } from './banner.mjs';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'codelab-'));
  mkdirSync(join(root, 'packages', 'llm-proxy'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('a provider is configured', () => {
  it.each([
    { LLM_PROXY__OPENAI_API_KEY: 'sk-1' },
    { LLM_PROXY__OPENAI_BASE_URL: 'http://localhost:9000/v1' },
    { LLM_PROXY__ANTHROPIC_API_KEY: 'sk-ant-1' },
    { LLM_PROXY__ANTHROPIC_BASE_URL: 'http://localhost:9000' },
    { LLM_PROXY__OLLAMA_BASE_URL: 'http://localhost:11434' },
    { LLM_PROXY__LITELLM_API_KEY: 'k' },
    { LLM_PROXY__DEFAULT_MODEL: 'ollama/qwen3:0.6b' },
  ])('by %j', async (variables) => {
    expect(await hasProvider(variables, root)).toBe(true);
  });

  it.each([undefined, 'own.yaml'])('by the configuration file, %s', async (name) => {
    const variables = name === undefined ? {} : { LLM_PROXY__CONFIG: join(root, name) };
    const file = join(root, name ?? 'llm-proxy.config.yaml');
    writeFileSync(file, 'models: {}\n');
    expect(await hasProvider(variables, root)).toBe(false);
    writeFileSync(file, 'providers:\n  vllm:\n    base_url: http://localhost:9000/v1\n');
    expect(await hasProvider(variables, root)).toBe(true);
  });

  it.each([{}, { LLM_PROXY__OPENAI_API_KEY: ' ' }, { LLM_PROXY__DEFAULT_MODEL: 'builtin/echo' }])(
    'not by %j',
    async (variables) => {
      expect(await hasProvider(variables, root)).toBe(false);
    },
  );
});

describe('what npm start says', () => {
  const services = [
    { name: 'llm-proxy', port: 8002 },
    { name: 'agent-runtime', port: 18001 },
  ];

  it('names the missing provider only where it is missing', () => {
    expect(banner({ services, hasProvider: false })).toContain('No provider is configured');
    expect(banner({ services, hasProvider: true })).not.toContain('No provider is configured');
  });

  it('names what was found, and how to choose it', () => {
    const found = ['ollama/qwen3:0.6b', 'ollama/a', 'ollama/b', 'litellm/c', 'litellm/d'];
    const said = banner({ services, hasProvider: false, found });
    expect(said).toContain('builtin/agent answers. Found here: ollama/qwen3:0.6b, ollama/a, ollama/b and 2 more.');
    expect(said).toContain('LLM_PROXY__DEFAULT_MODEL=ollama/qwen3:0.6b into .env');
    expect(banner({ services, hasProvider: false })).not.toContain('Found here');
  });

  it('has a command for the shell that the platform has', () => {
    expect(banner({ services, hasProvider: true, platform: 'linux' })).toContain('set -a; . ./.env; set +a');
    const windows = banner({ services, hasProvider: true, platform: 'win32' });
    expect(windows).not.toContain('set -a');
    expect(windows).toContain('Invoke-RestMethod http://localhost:18001/agent/message/stream');
  });
});

describe('what llm-proxy has found', () => {
  it('is all but its own models and aliases, and nothing where it does not answer', async () => {
    const data = ['builtin/agent', 'alias/x', 'ollama/qwen3:0.6b'].map((id) => ({ id, provider: id.split('/')[0] }));
    const server = createServer((request, response) => {
      response.statusCode = request.headers['x-internal-auth'] === 'right' ? 200 : 401;
      response.end(JSON.stringify(response.statusCode === 200 ? { data } : { error: {} }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await foundModels(url, 'right')).toEqual(['ollama/qwen3:0.6b']);
    expect(await foundModels(url, 'wrong')).toEqual([]);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await foundModels(url, 'right')).toEqual([]);
  });
});
