import type { Config } from '../config.ts';
import type { Env } from '../env.ts';
import { createAnthropicProvider } from './anthropic.ts';
import { createOpenAiProvider } from './openai.ts';
import type { Provider } from './provider.ts';

/** Where servers on the person's own machine listen unless told otherwise. */
const LOCAL = { ollama: 'http://127.0.0.1:11434', litellm: 'http://127.0.0.1:4000' };

/** The providers that the settings ask for, and those that may be found on their default ports. */
export function createProviders(env: Env, config: Config): { configured: Provider[]; discovered: Provider[] } {
  const configured: Provider[] = [];
  const discovered: Provider[] = [];

  if (env.OPENAI_API_KEY !== undefined || env.OPENAI_BASE_URL !== undefined) {
    configured.push(openAiLike('openai', 'OpenAI', env.OPENAI_API_KEY, env.OPENAI_BASE_URL));
  }
  if (env.ANTHROPIC_API_KEY !== undefined || env.ANTHROPIC_BASE_URL !== undefined) {
    configured.push(
      createAnthropicProvider({ apiKey: env.ANTHROPIC_API_KEY ?? 'none', baseUrl: env.ANTHROPIC_BASE_URL }),
    );
  }
  const litellm = openAiLike(
    'litellm',
    'LiteLLM',
    env.LITELLM_API_KEY,
    withVersion(env.LITELLM_BASE_URL ?? LOCAL.litellm),
  );
  (env.LITELLM_API_KEY !== undefined || env.LITELLM_BASE_URL !== undefined ? configured : discovered).push(litellm);
  const ollama = openAiLike('ollama', 'Ollama', env.OLLAMA_API_KEY, withVersion(env.OLLAMA_BASE_URL ?? LOCAL.ollama));
  (env.OLLAMA_API_KEY !== undefined || env.OLLAMA_BASE_URL !== undefined ? configured : discovered).push(ollama);
  for (const [id, { base_url: baseUrl, api_key_env: variable }] of Object.entries(config.providers)) {
    const names = {
      name: id,
      keyVariable: variable ?? `providers.${id}.api_key_env`,
      urlVariable: `providers.${id}.base_url`,
    };
    const apiKey = variable === undefined ? undefined : env.variables[variable];
    configured.push(createOpenAiProvider({ id, names, apiKey: apiKey ?? 'none', baseUrl }));
  }
  return { configured, discovered };
}

function openAiLike(id: string, name: string, apiKey: string | undefined, baseUrl: string | undefined): Provider {
  const prefix = `LLM_PROXY__${id.toUpperCase()}`;
  const names = { name, keyVariable: `${prefix}_API_KEY`, urlVariable: `${prefix}_BASE_URL` };
  // A local server often wants no key; the package insists on one.
  return createOpenAiProvider({ id, names, apiKey: apiKey ?? 'none', baseUrl });
}

/** Both people and other tools write these addresses without the `/v1`. */
function withVersion(url: string): string {
  return /\/v\d+$/.test(url) ? url : `${url}/v1`;
}
