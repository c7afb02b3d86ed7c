import { setTimeout as sleep } from 'node:timers/promises';
import { CodelabError, type Model, type ModelList } from '@codelab/protocol';
import { type Logger, toCodelabError } from '@codelab/service-kit';
import type { Config } from '../config/config.ts';
import { loggedOf } from '../errors/provider-error.ts';
import { nameSome } from '../lib/name-some.ts';
import type { Provider } from '../providers/provider.ts';

const LIST_TIMEOUT_MS = 3_000;
const LIST_FRESH_MS = 60_000;
/** Providers of names without a provider; they come before all others that list the same name. */
const FAMILIES: Array<[RegExp, string]> = [
  [/^(gpt-|chatgpt-|o\d)/, 'openai'],
  [/^claude-/, 'anthropic'],
];
const PREFERRED = ['gpt-4.1-mini', 'gpt-4o-mini', 'claude-haiku-4-5', 'claude-3-5-haiku-latest'];

/** One way to a model. */
export interface Route {
  provider: Provider;
  /** The provider's own name of the model. */
  model: string;
}

export interface Resolved {
  /** The route to ask first, then the fallbacks. */
  routes: [Route, ...Route[]];
  /** Time without a token until the next route is asked as well, in milliseconds; undefined: never. */
  hedgeAfterMs: number | undefined;
}

export interface ModelRouter {
  list(): Promise<ModelList>;
  /** Lists the full names of models that were discovered. Those that take longer than `withinMs` are left out. Does not reject. */
  found(withinMs: number): Promise<string[]>;
  /** Returns the routes of a model or an alias. Throws `MODEL_NOT_FOUND`. */
  resolve(name: string): Promise<Resolved>;
}

export interface ModelRouterOptions {
  builtin: Provider;
  /** Configured providers, in the order of preference. */
  configured: Provider[];
  /** Providers that are there only if a server answers on its default port. */
  discovered: Provider[];
  /** `LLM_PROXY__DEFAULT_MODEL`. */
  defaultModel: string | undefined;
  /** Aliases of the configuration file. */
  aliases: Config['models'];
  /** Milliseconds since 1970. */
  now: () => number;
  log: Logger;
}

interface Listing {
  names: Promise<string[]>;
  until: number;
}

export function createModelRouter({
  builtin,
  configured,
  discovered,
  defaultModel,
  aliases,
  now,
  log,
}: ModelRouterOptions): ModelRouter {
  const remotes = [...configured, ...discovered];
  const providers = [...remotes, builtin];
  const listings = new Map<Provider, Listing>();

  /** Lists a provider's models, from the cache while it is fresh. An empty list where the provider fails; it is asked again next time. */
  const namesOf = (provider: Provider): Promise<string[]> => {
    const known = listings.get(provider);
    if (known !== undefined && now() < known.until) return known.names;
    const names = provider.models(AbortSignal.timeout(LIST_TIMEOUT_MS)).catch((error: unknown) => {
      listings.delete(provider);
      if (configured.includes(provider)) {
        log.warn(
          { provider: provider.id, ...loggedOf(toCodelabError(error)), event: 'models.unlisted' },
          'the provider did not list its models',
        );
      }
      return [];
    });
    listings.set(provider, { names, until: now() + LIST_FRESH_MS });
    return names;
  };

  const defaultName = async (): Promise<string> => {
    if (defaultModel !== undefined) return defaultModel;
    const [first] = configured;
    if (first === undefined) return 'builtin/agent';
    const names = await namesOf(first);
    const preferred = PREFERRED.find((candidate) => names.some((name) => name.startsWith(candidate)));
    const name = names.find((candidate) => preferred !== undefined && candidate.startsWith(preferred)) ?? names[0];
    return `${first.id}/${name ?? PREFERRED[0]}`;
  };

  const found: ModelRouter['found'] = async (withinMs) => {
    const late = sleep(withinMs, [], { ref: false });
    const lists = await Promise.all(discovered.map((provider) => Promise.race([namesOf(provider), late])));
    return discovered.flatMap(({ id }, index) => (lists[index] ?? []).map((name) => `${id}/${name}`));
  };

  const find = (id: string | undefined) => providers.find((provider) => provider.id === id);

  /** Refuses a name of another maker's family that the only provider surely does not have. Throws `MODEL_NOT_FOUND`. */
  const refuseStranger = async (only: Provider, name: string): Promise<void> => {
    // What others list may be incomplete: an alias of a proxy, a deployment of Azure.
    if (only.wire !== 'anthropic' && only.id !== 'ollama') return;
    const names = await namesOf(only);
    // Ollama knows its models by their tags, `latest` where none is given.
    if (names.length === 0 || names.some((known) => known === name || known.startsWith(`${name}:`))) return;
    throw new CodelabError(
      'MODEL_NOT_FOUND',
      `There is no model "${name}": ${only.id}, the only provider configured, has ${nameSome(names)}. "default" is ${await defaultName()}.`,
    );
  };

  /** Finds the provider of a name without one. Throws `MODEL_NOT_FOUND` where the only one surely does not have it. */
  const ownerOf = async (name: string): Promise<Provider | undefined> => {
    const family = FAMILIES.find(([pattern]) => pattern.test(name))?.[1];
    const known = configured.find((provider) => provider.id === family);
    if (known !== undefined) return known;
    const [only] = configured;
    if (only !== undefined && configured.length === 1) {
      if (family !== undefined) await refuseStranger(only, name);
      return only;
    }
    const lists = await Promise.all(remotes.map(namesOf));
    return remotes.find((_, index) => lists[index]?.includes(name));
  };

  /** Returns the route of a name that is no alias. */
  const routeOf = async (wanted: string): Promise<Route> => {
    const slash = wanted.indexOf('/');
    const named = slash > 0 ? find(wanted.slice(0, slash)) : undefined;
    if (named !== undefined) return { provider: named, model: wanted.slice(slash + 1) };
    const owner = await ownerOf(wanted);
    if (owner !== undefined) return { provider: owner, model: wanted };
    // The documented commands name gpt-4: with no key, builtin/agent answers and says how to add one.
    if (configured.length === 0 && FAMILIES.some(([pattern]) => pattern.test(wanted)))
      return { provider: builtin, model: 'agent' };
    if (configured.length === 0) {
      const names = nameSome(['builtin/agent', 'builtin/echo', ...(await found(LIST_TIMEOUT_MS))]);
      throw new CodelabError(
        'MODEL_NOT_FOUND',
        `There is no model "${wanted}". With no provider configured there are ${names}; LLM_PROXY__OPENAI_API_KEY adds OpenAI's.`,
      );
    }
    throw new CodelabError(
      'MODEL_NOT_FOUND',
      `No configured provider has a model "${wanted}". GET /v1/models lists those there are; write provider/model to choose.`,
    );
  };

  return {
    found,

    async list() {
      const lists = await Promise.all(providers.map(namesOf));
      const own = Object.keys(aliases).map((name): Model => ({ id: name, provider: 'alias', name }));
      const models = providers.flatMap((provider, index) =>
        (lists[index] ?? []).map((name): Model => ({ id: `${provider.id}/${name}`, provider: provider.id, name })),
      );
      models.unshift(...own);
      const chosen = await defaultName();
      const isDefault = (model: Model) => model.id === chosen || model.name === chosen;
      models.sort((a, b) => Number(isDefault(b)) - Number(isDefault(a)));
      return { models, defaultModel: chosen };
    },

    async resolve(name) {
      const wanted = name === 'default' ? await defaultName() : name;
      const alias = Object.hasOwn(aliases, wanted) ? aliases[wanted] : undefined;
      if (alias === undefined) return { routes: [await routeOf(wanted)], hedgeAfterMs: undefined };
      if (typeof alias === 'string') return { routes: [await routeOf(alias)], hedgeAfterMs: undefined };
      const names = [...byWeight(alias.routes), ...alias.fallbacks];
      const routes = (await Promise.all(names.map(routeOf))) as [Route, ...Route[]];
      return { routes, hedgeAfterMs: alias.hedge_after_ms };
    },
  };
}

/** Returns the models of the routes: first one that is drawn by weight, then the others. */
function byWeight(routes: Array<{ model: string; weight: number }>): string[] {
  let draw = Math.random() * routes.reduce((sum, { weight }) => sum + weight, 0);
  let index = 0;
  while (index < routes.length - 1) {
    draw -= routes[index]?.weight ?? 0;
    if (draw < 0) break;
    index++;
  }
  const names = routes.map(({ model }) => model);
  return [...names.slice(index, index + 1), ...names.slice(0, index), ...names.slice(index + 1)];
}
