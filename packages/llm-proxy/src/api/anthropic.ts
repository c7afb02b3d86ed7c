import { CodelabError } from '@codelab/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Attempt, jsonAttempt, streamAttempt } from '../completion/attempt.ts';
import { collectChunks, openTranslated } from '../completion/translated-attempt.ts';
import { toAbortSignal } from '../lib/cancel-token.ts';
import type { OpenedChoices } from '../providers/provider.ts';
import type { Route } from '../routing/model-router.ts';
import { createAnthropicCollector } from '../wire/anthropic/collector.ts';
import { type AnthropicUsage, mergeUsage } from '../wire/anthropic/decoder.ts';
import { createAnthropicEncoder } from '../wire/anthropic/encoder.ts';
import { anthropicPassthroughRules } from '../wire/anthropic/passthrough-rules.ts';
import { decodeAnthropicRequest, type MessagesBody } from '../wire/anthropic/request-decoder.ts';
import { endReason } from '../wire/end-reason.ts';
import { withModel } from '../wire/json-splice.ts';
import { createPassthrough } from '../wire/passthrough.ts';
import { estimateInputTokens } from '../wire/token-estimate.ts';
import { toAnthropicError } from './anthropic-error.ts';
import {
  type Admitted,
  admit,
  checkCompletion,
  type EndpointOptions,
  type ErrorShape,
  prepareEndpoint,
  sendStream,
  sendWhole,
} from './completion-endpoint.ts';

const COUNT_TIMEOUT_MS = 60_000;

const shape: ErrorShape = {
  body: toAnthropicError,
  event: (error, requestId) => `event: error\ndata: ${JSON.stringify(toAnthropicError(error, requestId))}\n\n`,
};

/** Registers Anthropic's wire: `/v1/messages` and `/v1/messages/count_tokens`. */
export function anthropicRoutes(options: EndpointOptions) {
  return async (app: FastifyInstance) => {
    prepareEndpoint(app, options, shape);

    app.post('/v1/messages', async (request, reply) => {
      const admitted = admit(options, request, reply, 'messages');
      const { body, context } = admitted;
      checkCompletion(body);
      const { model } = body;
      const headers = passedHeaders(request);
      if (body.stream !== true) {
        const open = (route: Route) => openWhole(admitted, body, route, headers, options);
        return sendWhole(options, request, reply, { ...context, model, open });
      }
      const open = (route: Route, opened: OpenedChoices) => openStream(admitted, body, route, opened, headers, options);
      return sendStream(options, request, reply, { ...context, model, open }, shape);
    });

    app.post('/v1/messages/count_tokens', async (request, reply) => {
      const { bytes, body, context } = admit(options, request, reply, 'count');
      checkCompletion(body);
      const { routes } = await options.services.models.resolve(body.model);
      const { provider, model } = routes[0];
      // Only Anthropic can count without answering; for other providers it is estimated.
      if (provider.wire !== 'anthropic') return { input_tokens: estimateInputTokens(body) };
      if (!context.caller.mayUse(body.model) && !context.caller.mayUse(`${provider.id}/${model}`))
        throw new CodelabError('FORBIDDEN', `The key "${context.caller.name}" may not use the model "${body.model}".`);
      const edited = withModel(bytes, body.model, model);
      const cancel = AbortSignal.any([toAbortSignal(context.signal), AbortSignal.timeout(COUNT_TIMEOUT_MS)]);
      const headers = passedHeaders(request);
      const attempt = jsonAttempt(
        { provider, endpoint: 'messages/count_tokens', model, body: edited, headers, inputTokens: () => 0 },
        {
          isAnswer: (answer) => typeof (answer as { input_tokens?: unknown }).input_tokens === 'number',
          usage: () => undefined,
        },
      );
      let counted = '';
      const deliver = (text: string) => {
        counted = text;
        return undefined;
      };
      await attempt.run({ cancel, onActivity: () => {}, deliver });
      return reply.type('application/json').send(counted);
    });
  };
}

function openStream(
  { bytes, body }: Admitted,
  messages: MessagesBody,
  route: Route,
  opened: OpenedChoices,
  headers: Record<string, string>,
  { services }: EndpointOptions,
): Attempt<Buffer | string> {
  const { provider, model } = route;
  if (provider.wire !== 'anthropic')
    return openTranslated(
      route,
      decodeAnthropicRequest(messages),
      createAnthropicEncoder({ isOpen: opened.has(0) }),
      services.costOf,
    );
  const reader = createPassthrough(anthropicPassthroughRules({ opened }), provider.names);
  const inputTokens = () => estimateInputTokens(body);
  const edited = withModel(bytes, messages.model, model);
  return streamAttempt({ provider, endpoint: 'messages', model, body: edited, headers, inputTokens }, reader);
}

function openWhole(
  { bytes, body }: Admitted,
  messages: MessagesBody,
  route: Route,
  headers: Record<string, string>,
  { services }: EndpointOptions,
): Attempt<Buffer | string> {
  const { provider, model } = route;
  if (provider.wire !== 'anthropic') {
    const chunks = openTranslated(route, decodeAnthropicRequest(messages), (parts) => parts, services.costOf);
    return collectChunks(chunks, createAnthropicCollector());
  }
  const inputTokens = () => estimateInputTokens(body);
  const edited = withModel(bytes, messages.model, model);
  return jsonAttempt(
    { provider, endpoint: 'messages', model, body: edited, headers, inputTokens },
    {
      isAnswer: (answer) => (answer as { type?: unknown }).type === 'message',
      isWhole: (answer) => endReason((answer as { stop_reason?: unknown }).stop_reason) !== undefined,
      usage: (answer) => mergeUsage(undefined, (answer as { usage?: AnthropicUsage }).usage),
    },
  );
}

/** Returns the client's headers that are passed on to Anthropic. */
function passedHeaders({ headers }: FastifyRequest): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of ['anthropic-version', 'anthropic-beta'])
    if (typeof headers[name] === 'string') passed[name] = headers[name];
  return passed;
}
