import { CodelabError, type Model, type ModelList } from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import type { Provider } from './providers/provider.ts';

const LIST_TIMEOUT_MS = 3_000;
const LIST_FRESH_MS = 60_000;
/** The names of providers that a key would bring. */
const KNOWN_ELSEWHERE = /^(gpt-|chatgpt-|o\d)/;
const PREFERRED = ['gpt-4.1-mini', 'gpt-4o-mini'];

export interface Models {
  list(): Promise<ModelList>;
  /** Finds who serves `name`. Throws `MODEL_NOT_FOUND`. */
  resolve(name: string): Promise<{ provider: Provider; model: string }>;
}

export interface ModelsOptions {
  builtin: Provider;
  /** The configured provider, if there is one. */
  upstream: Provider | undefined;
  /** `LLM_PROXY__DEFAULT_MODEL`. */
  defaultModel: string | undefined;
  log: Logger;
}

export function createModels({ builtin, upstream, defaultModel, log }: ModelsOptions): Models {
  const providers = upstream === undefined ? [builtin] : [upstream, builtin];
  let upstreamNames: { names: Promise<string[]>; until: number } | undefined;

  const listUpstream = (): Promise<string[]> => {
    if (upstream === undefined) return Promise.resolve([]);
    if (upstreamNames !== undefined && Date.now() < upstreamNames.until) return upstreamNames.names;
    const names = upstream.models(AbortSignal.timeout(LIST_TIMEOUT_MS)).catch((error: unknown) => {
      log.warn(
        { provider: upstream.id, reason: error instanceof Error ? error.message : String(error) },
        'the provider did not list its models',
      );
      upstreamNames = undefined;
      return [];
    });
    upstreamNames = { names, until: Date.now() + LIST_FRESH_MS };
    return names;
  };

  const defaultName = async (): Promise<string> => {
    if (defaultModel !== undefined) return defaultModel;
    if (upstream === undefined) return 'builtin/agent';
    const names = await listUpstream();
    const name = PREFERRED.find((preferred) => names.includes(preferred)) ?? names[0] ?? PREFERRED[0];
    return `${upstream.id}/${name}`;
  };

  return {
    async list() {
      const toModel =
        (provider: Provider) =>
        (name: string): Model => ({ id: `${provider.id}/${name}`, provider: provider.id, name });
      const models = [
        ...(upstream === undefined ? [] : (await listUpstream()).map(toModel(upstream))),
        ...(await builtin.models(AbortSignal.timeout(LIST_TIMEOUT_MS))).map(toModel(builtin)),
      ];
      const chosen = await defaultName();
      const isDefault = (model: Model) => model.id === chosen || model.name === chosen;
      models.sort((a, b) => Number(isDefault(b)) - Number(isDefault(a)));
      return { models, defaultModel: chosen };
    },

    async resolve(name) {
      const wanted = name === 'default' ? await defaultName() : name;
      for (const provider of providers) {
        if (wanted.startsWith(`${provider.id}/`)) return { provider, model: wanted.slice(provider.id.length + 1) };
      }
      if (upstream !== undefined) return { provider: upstream, model: wanted };
      // The documented commands name gpt-4: with no key, builtin/agent answers and says how to add one.
      if (KNOWN_ELSEWHERE.test(wanted)) return { provider: builtin, model: 'agent' };
      throw new CodelabError(
        'MODEL_NOT_FOUND',
        `There is no model "${wanted}". With no provider configured there are builtin/agent and builtin/echo; LLM_PROXY__OPENAI_API_KEY adds OpenAI's.`,
      );
    },
  };
}
