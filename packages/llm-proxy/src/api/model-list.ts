import type { FastifyRequest } from 'fastify';
import { callerOf, type EndpointOptions } from './completion-endpoint.ts';

/** When this process began to know its models: nobody says when a model came to be. */
const since = new Date();
const created = Math.floor(since.getTime() / 1000);

/**
 * The models that the caller may ask for, in OpenAI's shape, and in Anthropic's at once: neither's client looks at what it does not know.
 * Sources: https://platform.openai.com/docs/api-reference/models, https://docs.anthropic.com/en/api/models-list
 */
export async function listModels(options: EndpointOptions, request: FastifyRequest) {
  const caller = callerOf(options, request);
  const { models, defaultModel } = await options.services.models.list();
  const data = models
    .filter(({ id }) => caller.mayUse(id))
    .map(({ id, provider, name }) => ({
      id,
      object: 'model',
      created,
      owned_by: provider,
      provider,
      name,
      default: id === defaultModel,
      type: 'model',
      display_name: name,
      created_at: since.toISOString(),
    }));
  return { object: 'list', data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}
