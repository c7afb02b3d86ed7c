export { type AllowOrigin, type Authorize, type Credentials, isSameKey, requireKey, tokenOf } from './auth.ts';
export {
  collectMistakes,
  commonSettings,
  headerValue,
  httpUrl,
  isLoopback,
  isRealKey,
  loadSettings,
  MAX_TIMER_MS,
  milliseconds,
  readVariables,
  requiredKey,
  requireRealKeys,
  SettingsError,
  type SettingsOfService,
  unknownSettings,
  type Variables,
  withPeerKey,
} from './env.ts';
export { statusOf, toCodelabError, toErrorBody, toValidationError } from './error-shape.ts';
export { pathsUp, repositoryRoot } from './find-up.ts';
export { parseJsonBody, toHttpError } from './http-app.ts';
export { toInputId } from './input-id.ts';
export { jsonDepthExceeds, MAX_JSON_DEPTH } from './json-depth.ts';
export { answerMessages, historyOf, readAnswer, untracked } from './legacy-answer.ts';
export { createLifecycle, type Lifecycle } from './lifecycle.ts';
export { createLogger, type Logger } from './logger.ts';
export { createMetrics } from './metrics.ts';
export { docsRoute } from './openapi/docs.ts';
export {
  createOpenApiDocument,
  errorResponses,
  jsonBody,
  type OpenApiDocument,
  type Operation,
  openApiRoute,
} from './openapi/document.ts';
export { type JsonSchema, toJsonSchemas } from './openapi/json-schemas.ts';
export { createCensor, createRedactor, SHORTEST_SECRET } from './redact.ts';
export { runService } from './run-service.ts';
export { type RunningService, serve } from './serve.ts';
export { fingerprint, sha256 } from './sha256.ts';
export type { SocketConnection, SocketEndpoint } from './sockets.ts';
export { clientGone, openEventStream, type SseMessage, sendEventStream, whenGone } from './sse.ts';
export type { Backpressure } from './trpc/backpressure.ts';
export { type Handlers, implement } from './trpc/implement.ts';
export { logFailure, procedure, router, type ServiceContext } from './trpc/procedure.ts';
export { type MessageSink, type Pushable, parseTail, pushable, toTail } from './trpc/pushable.ts';
export { createRpcClient, type RpcClient } from './trpc/rpc-client.ts';
export { watchConfig } from './watch-file.ts';
export { createFilter } from './wildcard.ts';
