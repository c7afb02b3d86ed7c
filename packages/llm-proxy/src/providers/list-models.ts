/** A page of a list, parsed: `data`, and what else the wire says of the next page. */
export type ModelPage = { data: unknown[] };

const PAGE_SIZE = 1_000;
/** A list that goes on for ever ends here. */
const MAX_MODELS = 10_000;

/**
 * Lists the names of a provider's models by the official client of its wire, which knows what follows a page. The clients are loaded once
 * there is a page to read: neither a start nor a completion that names its provider waits for them, nor a provider that is not there.
 * `getPage` asks for a page, with the parameters of its query: key, timeouts and failures are ours. Rejects as `getPage` does, and with a
 * `TypeError` where a page has no models.
 */
export async function listModels(
  wire: 'openai' | 'anthropic',
  getPage: (query: URLSearchParams) => Promise<ModelPage>,
): Promise<string[]> {
  const query = wire === 'anthropic' ? { limit: String(PAGE_SIZE) } : {};
  let first: ModelPage | undefined = await getPage(new URLSearchParams(query));
  let failure: unknown;
  const fetch = async (url: unknown) => {
    const known = first;
    first = undefined;
    try {
      return Response.json(known ?? (await getPage(new URL(String(url)).searchParams)));
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    const names: string[] = [];
    for await (const { id } of await modelsOf(wire, fetch)) {
      const name = String(id);
      // LiteLLM lists its wildcards beside the models that they stand for.
      if (name.includes('*')) continue;
      names.push(name);
      if (names.length === MAX_MODELS) break;
    }
    return names;
  } catch (error) {
    throw failure ?? error;
  }
}

async function modelsOf(
  wire: 'openai' | 'anthropic',
  fetch: (url: unknown) => Promise<Response>,
): Promise<AsyncIterable<{ id: unknown }>> {
  // Nothing of the environment, and no key: `fetch` takes the query alone of what they would send.
  const options = {
    baseURL: 'http://provider.invalid',
    apiKey: 'unused',
    maxRetries: 0,
    logLevel: 'off',
    fetch,
  } as const;
  if (wire === 'anthropic') {
    const { Anthropic } = await import('@anthropic-ai/sdk');
    return new Anthropic({ ...options, webhookKey: null }).models.list({ limit: PAGE_SIZE });
  }
  const { OpenAI } = await import('openai');
  return new OpenAI({ ...options, organization: null, project: null, webhookSecret: null }).models.list();
}
