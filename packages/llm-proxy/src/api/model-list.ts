import type { FastifyRequest } from 'fastify';
import { callerOf, type EndpointOptions } from './completion-endpoint.ts';

/** Start of this process, as the creation time of every model: providers do not tell it reliably. */
const since = new Date();
const created = Math.floor(since.getTime() / 1000);

/**
 * Lists the models that the caller may ask for, in OpenAI's and Anthropic's shape at once: clients ignore the fields they do not know.
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
