import { createCensor, createRedactor, headerValue, SettingsError } from '@codelab/service-kit';
import type { Config } from '../config/config.ts';
import type { ProviderNames } from '../errors/provider-error.ts';
import type { HttpClient } from '../http-client/http-client.ts';
import { createHttpProvider } from './http-provider.ts';
import type { Provider } from './provider.ts';

const DEFAULT_URLS = { openai: 'https://api.openai.com/v1', anthropic: 'https://api.anthropic.com' };
/** Source: https://docs.anthropic.com/en/api/versioning */
const ANTHROPIC_VERSION = '2023-06-01';

type LocalId = 'ollama' | 'litellm';
type KnownId = keyof typeof DEFAULT_URLS | LocalId;

/** Settings of the known providers, and all environment variables: a provider of the configuration file names the one with its key. */
export type ProviderSettings = {
  [K in `${Uppercase<KnownId>}_${'API_KEY' | 'BASE_URL'}`]?: string | undefined;
} & { [K in `${Uppercase<LocalId>}_DISCOVERY_URL`]: string } & {
  variables: Readonly<Record<string, string | undefined>>;
};

/** Creates the configured providers, and those that may be discovered. Throws `SettingsError` where a key cannot be sent. */
export function createProviders(
  settings: ProviderSettings,
  config: Config,
  httpClient: HttpClient,
): { configured: Provider[]; discovered: Provider[] } {
  const configured: Provider[] = [];
  const discovered: Provider[] = [];
  const add = (id: KnownId, name: string, make: (wanted: Wanted) => Provider) => {
    const prefix = `LLM_PROXY__${id.toUpperCase()}` as `LLM_PROXY__${Uppercase<typeof id>}`;
    const apiKey = settings[`${id.toUpperCase() as Uppercase<typeof id>}_API_KEY`];
    const baseUrl = settings[`${id.toUpperCase() as Uppercase<typeof id>}_BASE_URL`];
    const secrets = { redact: createRedactor([apiKey], { cutOff: true }), censor: createCensor(apiKey, {}) };
    const names = { name, keyVariable: `${prefix}_API_KEY`, urlVariable: `${prefix}_BASE_URL`, ...secrets };
    const isWanted = apiKey !== undefined || baseUrl !== undefined;
    if (!isWanted && (id === 'openai' || id === 'anthropic')) return;
    const { OLLAMA_DISCOVERY_URL: ollama, LITELLM_DISCOVERY_URL: litellm } = settings;
    const url = baseUrl ?? { ...DEFAULT_URLS, ollama, litellm }[id];
    const provider = make({ id, names, apiKey, baseUrl: url, httpClient });
    (isWanted ? configured : discovered).push(provider);
  };
  add('openai', 'OpenAI', (wanted) => openAi({ ...wanted, isOpenAi: true }));
  add('anthropic', 'Anthropic', anthropic);
  add('litellm', 'LiteLLM', (wanted) => openAi({ ...wanted, baseUrl: withVersion(wanted.baseUrl) }));
  add('ollama', 'Ollama', (wanted) => openAi({ ...wanted, baseUrl: withVersion(wanted.baseUrl) }));

  for (const [id, provider] of Object.entries(config.providers)) {
    const { kind, base_url: baseUrl, api_key_env: variable, api_version: version, headers } = provider;
    const apiKey = variable === undefined ? undefined : settings.variables[variable]?.trim();
    const checked = headerValue.optional().safeParse(apiKey);
    if (!checked.success)
      throw new SettingsError([`providers.${id}.api_key_env: ${variable}=…: ${checked.error.issues[0]?.message}`]);
    const names = {
      name: id,
      keyVariable: variable ?? `providers.${id}.api_key_env`,
      urlVariable: `providers.${id}.base_url`,
      redact: createRedactor([apiKey, ...Object.values(headers)], { cutOff: true }),
      censor: createCensor(apiKey, headers),
    };
    const wanted = {
      id,
      names,
      apiKey,
      baseUrl,
      headers,
      httpClient,
      hasStreamUsage: provider.stream_usage,
      hasPromptCache: provider.prompt_cache,
    };
    if (kind === 'anthropic') configured.push(anthropic(wanted));
    else configured.push(kind === 'azure' ? azure(wanted, version) : openAi(wanted));
  }
  return { configured, discovered };
}

interface Wanted {
  id: string;
  names: ProviderNames;
  apiKey: string | undefined;
  baseUrl: string;
  headers?: Record<string, string>;
  hasStreamUsage?: boolean;
  hasPromptCache?: boolean | undefined;
  isOpenAi?: boolean;
  httpClient: HttpClient;
}

function openAi({ apiKey, headers = {}, ...wanted }: Wanted): Provider {
  // A local server often wants no key.
  const auth = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  return createHttpProvider({ ...wanted, wire: 'openai', headers: { ...auth, ...headers } });
}

function anthropic({ apiKey, headers = {}, ...wanted }: Wanted): Provider {
  const auth = apiKey === undefined ? {} : { 'x-api-key': apiKey };
  const version = { 'anthropic-version': ANTHROPIC_VERSION };
  return createHttpProvider({
    ...wanted,
    wire: 'anthropic',
    headers: { ...auth, ...version, ...headers },
    pathOf: (endpoint) => `v1/${endpoint}`,
  });
}

/** Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference */
function azure({ apiKey, headers = {}, ...wanted }: Wanted, version: string | undefined): Provider {
  const auth = apiKey === undefined ? {} : { 'api-key': apiKey };
  return createHttpProvider({
    ...wanted,
    wire: 'openai',
    isOpenAi: true,
    headers: { ...auth, ...headers },
    pathOf: (endpoint, model) => {
      if (version === undefined) return `v1/${endpoint}`;
      const where = endpoint === 'models' ? endpoint : `deployments/${encodeURIComponent(model)}/${endpoint}`;
      return `${where}?api-version=${encodeURIComponent(version)}`;
    },
  });
}

/** Adds the `/v1` that people and other tools leave out of these addresses. */
function withVersion(url: string): string {
  return /\/v\d+$/.test(url) ? url : `${url}/v1`;
}
