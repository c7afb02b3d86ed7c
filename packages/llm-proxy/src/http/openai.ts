import {
  CodelabError,
  type CompletionChunk,
  CompletionRequest,
  fromWireError,
  type WireError,
} from '@codelab/protocol';
import {
  type Credentials,
  clientGone,
  logFailure,
  type ServiceContext,
  type SseMessage,
  sendEventStream,
  statusOf,
  toHttpError,
  toValidationError,
  untracked,
} from '@codelab/service-kit';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { createRouter } from '../router.ts';
import { createChunkWriter, createCompletionCollector, toOpenAiError } from './openai-wire.ts';

const WireOptions = CompletionRequest.extend({
  stream: z.boolean('stream must be true or false').nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
});

export interface OpenAiRoutesOptions {
  router: ReturnType<typeof createRouter>;
  makeContext: (credentials: Credentials, requestId: string) => ServiceContext;
}

/** OpenAI's wire: `/v1/chat/completions`, `/v1/models`, and the older name `/v1/llm/models`. */
export function openAiRoutes({ router, makeContext }: OpenAiRoutesOptions) {
  return async (app: FastifyInstance) => {
    app.setErrorHandler(async (thrown, request, reply) => {
      const error = toHttpError(thrown);
      logFailure(
        makeContext(request, request.id).log.child({ requestId: request.id }),
        error,
        `${request.method} ${request.routeOptions.url}`,
      );
      reply.header('x-codelab-error', error.code);
      if (error.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
      return reply.status(statusOf(error)).send(toOpenAiError(error));
    });

    const listModels = async (request: Credentials & { id: string }) => {
      const { models, defaultModel } = await router
        .createCaller(makeContext(request, request.id))
        .model.list({ requestId: request.id });
      const created = Math.floor(Date.now() / 1000);
      return {
        object: 'list',
        data: models.map(({ id, provider, name }) => ({
          id,
          object: 'model',
          created,
          owned_by: provider,
          provider,
          name,
          default: id === defaultModel,
        })),
      };
    };
    app.get('/v1/models', listModels);
    app.get('/v1/llm/models', listModels);

    app.post('/v1/chat/completions', async (request, reply) => {
      const context = makeContext(request, request.id);
      if (context.refusal !== undefined) throw context.refusal;
      const body = WireOptions.safeParse(request.body);
      if (!body.success) throw toValidationError(body.error);
      const { stream, stream_options: streamOptions, ...completion } = body.data;
      const signal = clientGone(reply.raw);
      const chunks = untracked<CompletionChunk>(
        await router
          .createCaller(context, { signal })
          .completion.stream({ request: completion as CompletionRequest, requestId: request.id }),
      );
      if (stream !== true) {
        const collector = createCompletionCollector();
        for await (const chunk of chunks) collector.add(withoutError(chunk));
        return collector.result();
      }
      reply.hijack();
      const includeUsage = streamOptions?.include_usage === true;
      try {
        await sendEventStream(reply.raw, toMessages(chunks, includeUsage), {
          headers: { 'x-request-id': request.id },
          onFailure: (thrown) => ({ data: toOpenAiError(toHttpError(thrown)) }),
        });
      } catch (thrown) {
        // Nothing has been sent yet: the failure gets a status of its own.
        const error = toHttpError(thrown);
        reply.raw.writeHead(statusOf(error), {
          'content-type': 'application/json; charset=utf-8',
          'x-codelab-error': error.code,
          'x-request-id': request.id,
          ...(error.retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(error.retryAfterMs / 1000)) }),
        });
        reply.raw.end(JSON.stringify(toOpenAiError(error)));
      }
    });
  };
}

/** Throws the failure that ends the chunks: it gets a status while there is no head, else it is the last message. */
async function* toMessages(chunks: AsyncIterable<CompletionChunk>, includeUsage: boolean): AsyncGenerator<SseMessage> {
  const write = createChunkWriter({ includeUsage });
  for await (const chunk of chunks) for (const data of write(withoutError(chunk))) yield { data };
  yield { data: '[DONE]' };
}

function withoutError(chunk: CompletionChunk): Exclude<CompletionChunk, { type: 'error' }> {
  if (chunk.type === 'error') throw toError(chunk.error as WireError);
  return chunk;
}

function toError(wire: WireError): CodelabError {
  return fromWireError(wire) ?? new CodelabError('INTERNAL');
}
