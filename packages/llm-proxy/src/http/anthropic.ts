import { CodelabError } from '@codelab/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Attempt, jsonAttempt, streamAttempt } from '../attempt.ts';
import type { Route } from '../models.ts';
import { collected, openChunks } from '../open-chunks.ts';
import type { Opened } from '../providers/provider.ts';
import { toAbortSignal } from '../stop.ts';
import { createAnthropicCollector } from '../wire/anthropic-collector.ts';
import { type AnthropicUsage, mergeUsage } from '../wire/anthropic-decoder.ts';
import { anthropicPassRules } from '../wire/anthropic-pass.ts';
import { createAnthropicWriter } from '../wire/anthropic-writer.ts';
import { endReason } from '../wire/end-reason.ts';
import { estimateInputTokens } from '../wire/estimate.ts';
import { fromAnthropicRequest, type MessagesBody } from '../wire/from-anthropic.ts';
import { withModel } from '../wire/json-edit.ts';
import { createPassReader } from '../wire/pass-reader.ts';
import { toAnthropicError } from './anthropic-error.ts';
import {
  checkCompletion,
  type DoorOptions,
  type Entry,
  type ErrorShape,
  enter,
  prepareDoor,
  sendStream,
  sendWhole,
} from './door.ts';

const COUNT_TIMEOUT_MS = 60_000;

const shape: ErrorShape = {
  body: toAnthropicError,
  event: (error, requestId) => `event: error\ndata: ${JSON.stringify(toAnthropicError(error, requestId))}\n\n`,
};

/** Anthropic's wire: `/v1/messages` and `/v1/messages/count_tokens`. */
export function anthropicRoutes(options: DoorOptions) {
  return async (app: FastifyInstance) => {
    prepareDoor(app, options, shape);

    app.post('/v1/messages', async (request, reply) => {
      const entry = enter(options, request, reply, 'messages');
      const { body, context } = entry;
      checkCompletion(body);
      const { model } = body;
      const headers = passedHeaders(request);
      if (body.stream !== true) {
        const open = (route: Route) => openWhole(entry, body, route, headers, options);
        return sendWhole(options, request, reply, { ...context, model, open });
      }
      const open = (route: Route, opened: Opened) => openStream(entry, body, route, opened, headers, options);
      return sendStream(options, request, reply, { ...context, model, open }, shape);
    });

    app.post('/v1/messages/count_tokens', async (request, reply) => {
      const { bytes, body, context } = enter(options, request, reply, 'count');
      checkCompletion(body);
      const { routes } = await options.services.models.resolve(body.model);
      const { provider, model } = routes[0];
      // Only Anthropic counts without answering: for all others it is a guess.
      if (provider.wire !== 'anthropic') return { input_tokens: estimateInputTokens(body) };
      if (!context.caller.mayUse(body.model) && !context.caller.mayUse(`${provider.id}/${model}`))
        throw new CodelabError('FORBIDDEN', `The key "${context.caller.name}" may not use the model "${body.model}".`);
      const edited = withModel(bytes, body.model, model);
      const stop = AbortSignal.any([toAbortSignal(context.signal), AbortSignal.timeout(COUNT_TIMEOUT_MS)]);
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
      await attempt.run({ stop, heard: () => {}, deliver });
      return reply.type('application/json').send(counted);
    });
  };
}

function openStream(
  { bytes, body }: Entry,
  messages: MessagesBody,
  route: Route,
  opened: Opened,
  headers: Record<string, string>,
  { services }: DoorOptions,
): Attempt<Buffer | string> {
  const { provider, model } = route;
  if (provider.wire !== 'anthropic')
    return openChunks(
      route,
      fromAnthropicRequest(messages),
      createAnthropicWriter({ isOpen: opened.has(0) }),
      services.costOf,
    );
  const reader = createPassReader(anthropicPassRules({ opened }), provider.names);
  const inputTokens = () => estimateInputTokens(body);
  const edited = withModel(bytes, messages.model, model);
  return streamAttempt({ provider, endpoint: 'messages', model, body: edited, headers, inputTokens }, reader);
}

function openWhole(
  { bytes, body }: Entry,
  messages: MessagesBody,
  route: Route,
  headers: Record<string, string>,
  { services }: DoorOptions,
): Attempt<Buffer | string> {
  const { provider, model } = route;
  if (provider.wire !== 'anthropic') {
    const chunks = openChunks(route, fromAnthropicRequest(messages), (parts) => parts, services.costOf);
    return collected(chunks, createAnthropicCollector());
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

/** What a client says to Anthropic in headers. */
function passedHeaders({ headers }: FastifyRequest): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of ['anthropic-version', 'anthropic-beta'])
    if (typeof headers[name] === 'string') passed[name] = headers[name];
  return passed;
}
