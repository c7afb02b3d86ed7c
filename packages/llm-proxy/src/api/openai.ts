import { CodelabError, CompletionRequest } from '@codelab/protocol';
import { toValidationError } from '@codelab/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Attempt, jsonAttempt, streamAttempt } from '../completion/attempt.ts';
import { collectChunks, openTranslated } from '../completion/translated-attempt.ts';
import type { OpenedChoices } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';
import { endReason } from '../wire/end-reason.ts';
import { spliceJson, withModel } from '../wire/json-splice.ts';
import { toCountedUsage } from '../wire/openai/decoder.ts';
import { createOpenAiCollector, createOpenAiEncoder } from '../wire/openai/encoder.ts';
import { openAiPassthroughRules } from '../wire/openai/passthrough-rules.ts';
import { createPassthrough } from '../wire/passthrough.ts';
import { estimateInputTokens } from '../wire/token-estimate.ts';
import {
  type Admitted,
  admit,
  callerOf,
  checkCompletion,
  type EndpointOptions,
  type ErrorShape,
  isModelName,
  prepareEndpoint,
  sendStream,
  sendWhole,
} from './completion-endpoint.ts';
import { listModels } from './model-list.ts';
import { toOpenAiError } from './openai-error.ts';

const shape: ErrorShape = {
  body: toOpenAiError,
  event: (error) => `data: ${JSON.stringify(toOpenAiError(error))}\n\n`,
};

/** Registers OpenAI's wire: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`, and the older name `/v1/llm/models`. */
export function openAiRoutes(options: EndpointOptions) {
  return async (app: FastifyInstance) => {
    prepareEndpoint(app, options, shape);

    const models = (request: FastifyRequest) => listModels(options, request);
    app.get('/v1/models', models);
    app.get('/v1/llm/models', models);
    app.get('/v1/models/*', async (request) => {
      const id = (request.params as { '*': string })['*'];
      const { data } = await listModels(options, request);
      const model = data.find((candidate) => candidate.id === id || candidate.name === id);
      if (model === undefined) throw new CodelabError('MODEL_NOT_FOUND', `There is no model "${id.slice(0, 200)}".`);
      return model;
    });
    app.get('/v1/usage', async (request) => {
      const usage = await options.keys.usage(callerOf(options, request));
      return { object: 'list', data: usage.map(toUsageReport) };
    });

    app.post('/v1/chat/completions', async (request, reply) => {
      const admitted = admit(options, request, reply, 'chat');
      const { body, context } = admitted;
      checkCompletion(body);
      const { model } = body;
      if (body.stream !== true)
        return sendWhole(options, request, reply, {
          ...context,
          model,
          open: (route) => openWhole(admitted, route, options),
        });
      const open = (route: Route, opened: OpenedChoices) => openStream(admitted, route, opened, options);
      return sendStream(options, request, reply, { ...context, model, open }, shape);
    });

    app.post('/v1/embeddings', async (request, reply) => {
      const { bytes, body, context } = admit(options, request, reply, 'embeddings');
      const { model } = body;
      if (!isModelName(model)) throw new CodelabError('VALIDATION', 'model must be the name of a model');
      if (body.input === undefined) throw new CodelabError('VALIDATION', 'input is missing');
      const open = ({ provider, model: name }: Route) => {
        if (provider.wire !== 'openai')
          throw new CodelabError(
            'VALIDATION',
            `${provider.id} has no embeddings: ask for a model of a provider that has.`,
          );
        const edited = withModel(bytes, model, name);
        const inputTokens = () => estimateInputTokens(body);
        return jsonAttempt(
          { provider, endpoint: 'embeddings', model: name, body: edited, inputTokens },
          { isAnswer: (answer) => Array.isArray((answer as { data?: unknown }).data), usage: usageOf },
        );
      };
      return sendWhole(options, request, reply, { ...context, model, open });
    });
  };
}

function openStream(
  admitted: Admitted,
  route: Route,
  opened: OpenedChoices,
  { services }: EndpointOptions,
): Attempt<Buffer | string> {
  const { provider, model } = route;
  const { body } = admitted;
  const options = body.stream_options as { include_usage?: unknown } | null | undefined;
  const wantsUsage = options?.include_usage === true;
  if (provider.wire !== 'openai') {
    const encode = createOpenAiEncoder({ includeUsage: wantsUsage, isOpen: opened.has(0) });
    return openTranslated(route, toRequest(body), encode, services.costOf);
  }
  // Without usage in the stream its tokens could only be estimated.
  const asksForUsage = !wantsUsage && provider.hasStreamUsage;
  const edited = edit(admitted, model, asksForUsage ? { ...options, include_usage: true } : undefined);
  const rules = openAiPassthroughRules({ hidesUsage: asksForUsage, choices: choicesOf(body), opened });
  const reader = createPassthrough(rules, provider.names);
  const inputTokens = () => estimateInputTokens(body);
  return streamAttempt({ provider, endpoint: 'chat/completions', model, body: edited, inputTokens }, reader);
}

function openWhole(admitted: Admitted, route: Route, { services }: EndpointOptions): Attempt<Buffer | string> {
  const { provider, model } = route;
  const { body } = admitted;
  if (provider.wire !== 'openai') {
    const chunks = openTranslated(route, toRequest(body), (parts) => parts, services.costOf);
    return collectChunks(chunks, createOpenAiCollector());
  }
  return jsonAttempt(
    {
      provider,
      endpoint: 'chat/completions',
      model,
      body: edit(admitted, model, undefined),
      inputTokens: () => estimateInputTokens(body),
    },
    {
      isAnswer: hasChoices,
      isWhole: (answer) => hasChoices(answer) && isEnded(answer.choices, choicesOf(body)),
      usage: usageOf,
    },
  );
}

/** Returns the body with the provider's name of the model, and with `stream_options` if given; all other bytes as they came. */
function edit({ bytes, body }: Admitted, model: string, streamOptions: object | undefined): Buffer {
  const values: Record<string, string> = {};
  if (body.model !== model) values.model = JSON.stringify(model);
  if (streamOptions !== undefined) values.stream_options = JSON.stringify(streamOptions);
  return Object.keys(values).length === 0 ? bytes : spliceJson(bytes, values);
}

/** Returns the number of choices that the client asks for. */
function choicesOf({ n }: Record<string, unknown>): number {
  return typeof n === 'number' ? n : 1;
}

function hasChoices(answer: object): answer is { choices: unknown[] } {
  return Array.isArray((answer as { choices?: unknown }).choices);
}

/** True if all choices that were asked for are there, each with its finish reason. */
function isEnded(choices: unknown[], asked: number): boolean {
  return (
    choices.length >= Math.max(1, asked) &&
    choices.every((choice) => endReason((choice as { finish_reason?: unknown } | null)?.finish_reason) !== undefined)
  );
}

function usageOf(answer: object) {
  const { usage } = answer as { usage?: Parameters<typeof toCountedUsage>[0] | null };
  return usage == null ? undefined : toCountedUsage(usage);
}

/** Parses the body for translation. Throws `VALIDATION` for a request that OpenAI would refuse. */
function toRequest({ stream: _, stream_options: __, ...body }: Record<string, unknown>): CompletionRequest {
  const request = CompletionRequest.safeParse(body);
  if (!request.success) throw toValidationError(request.error);
  return request.data;
}

function toUsageReport({ name, limits, counters }: Awaited<ReturnType<EndpointOptions['keys']['usage']>>[number]) {
  return {
    key: name,
    limits: {
      requests_per_minute: limits.requestsPerMinute ?? null,
      tokens_per_minute: limits.tokensPerMinute ?? null,
      concurrent_streams: limits.concurrentStreams ?? null,
      budget_usd_per_day: limits.budgetUsdPerDay ?? null,
      budget_usd_per_month: limits.budgetUsdPerMonth ?? null,
    },
    used: {
      requests_this_minute: counters.requests[1],
      tokens_this_minute: counters.tokens[1],
      open_streams: counters.streams,
      usd_today: counters.dayMicroUsd / 1e6,
      usd_this_month: counters.monthMicroUsd / 1e6,
    },
  };
}
