import { BoundedMap } from '@codelab/protocol';
import {
  type ProviderNames,
  toBrokenError,
  toConnectionError,
  toStatusError,
  toUnreadableError,
} from '../errors/provider-error.ts';
import type { HttpClient, HttpClientResponse } from '../http-client/http-client.ts';
import { listModels, type ModelPage } from './list-models.ts';
import type { Endpoint, HttpProvider, OptionalPart } from './provider.ts';

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_LIST_BYTES = 8 * 1024 * 1024;
/** Number of models whose refusals are remembered. */
const MAX_MODELS = 1_000;
const noParts: ReadonlySet<OptionalPart> = new Set();

export interface HttpProviderOptions {
  /** First part of its models' names, before the slash: `openai`, `ollama`, … */
  id: string;
  names: ProviderNames;
  wire: 'openai' | 'anthropic';
  /** Base URL of its endpoints, without a slash at the end: `https://api.openai.com/v1`. */
  baseUrl: string;
  /** Headers of each request, with the provider's key. */
  headers: Record<string, string>;
  isOpenAi?: boolean;
  hasStreamUsage?: boolean;
  /** @default true for OpenAI itself, and for Anthropic's wire */
  hasPromptCache?: boolean | undefined;
  /**
   * Returns an endpoint's path below the base URL.
   * @default the endpoint's name
   */
  pathOf?: (endpoint: Endpoint | 'models', model: string) => string;
  httpClient: HttpClient;
}

function isPlain({ headers }: HttpClientResponse): boolean {
  return /^(identity)?$/i.test(String(headers['content-encoding'] ?? ''));
}

/** Creates a provider that is a server of OpenAI's or Anthropic's wire. */
export function createHttpProvider(options: HttpProviderOptions): HttpProvider {
  const { id, names, wire, httpClient } = options;
  const refused = new BoundedMap<string, ReadonlySet<OptionalPart>>(MAX_MODELS);
  const { origin, pathname } = new URL(options.baseUrl);
  const base = pathname.replace(/\/+$/, '');
  const pathOf = options.pathOf ?? ((endpoint) => endpoint);
  const headers = { ...options.headers, 'user-agent': 'codelab-llm-proxy', 'accept-encoding': 'identity' };
  const postHeaders = { ...headers, 'content-type': 'application/json' };

  const checkStatus = async (asked: Promise<HttpClientResponse>): Promise<HttpClientResponse> => {
    let response: HttpClientResponse;
    try {
      response = await asked;
    } catch (error) {
      throw toConnectionError(error, names);
    }
    if (response.status >= 200 && response.status < 300) {
      if (!isPlain(response)) throw toUnreadableError('it is compressed, and was asked not to be', names, false);
      return response;
    }
    const body = await response.read(MAX_ERROR_BYTES).catch(() => Buffer.alloc(0));
    throw toStatusError(response.status, response.headers, body, names);
  };

  return {
    id,
    wire,
    names,
    isOpenAi: options.isOpenAi ?? false,
    hasStreamUsage: options.hasStreamUsage ?? true,
    hasPromptCache: options.hasPromptCache ?? (options.isOpenAi === true || wire === 'anthropic'),
    refusedBy: (model) => refused.get(model) ?? noParts,
    refuse(model, part) {
      refused.set(model, new Set([...(refused.get(model) ?? noParts), part]));
    },
    async models(signal) {
      const getPage = async (query: URLSearchParams): Promise<ModelPage> => {
        const where = `${base}/${pathOf('models', '')}`;
        const path = query.size === 0 ? where : `${where}${where.includes('?') ? '&' : '?'}${query}`;
        const response = await checkStatus(httpClient.send({ origin, path, method: 'GET', headers }, signal));
        const page = JSON.parse((await response.read(MAX_LIST_BYTES)).toString('utf8')) as Partial<ModelPage> | null;
        if (!Array.isArray(page?.data)) throw new TypeError('it has no data');
        return page as ModelPage;
      };
      try {
        return await listModels(wire, getPage);
      } catch (error) {
        throw error instanceof SyntaxError || error instanceof TypeError
          ? toUnreadableError('it is no list of models', names, false)
          : toBrokenError(error, names, false);
      }
    },
    post: (endpoint, { model, body, headers: more }, signal) =>
      checkStatus(
        httpClient.send(
          {
            origin,
            path: `${base}/${pathOf(endpoint, model)}`,
            method: 'POST',
            headers: more === undefined ? postHeaders : { ...postHeaders, ...more },
            body,
          },
          signal,
        ),
      ),
  };
}
