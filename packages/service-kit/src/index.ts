export { answerMessages, historyOf, readAnswer, untracked } from './answer-stream.ts';
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
export type { Flow } from './flow.ts';
export { createFilter } from './globs.ts';
export { parseJsonBody, toHttpError } from './http-app.ts';
export { type Handlers, implement } from './implement.ts';
export { toInputId } from './input-id.ts';
export { jsonDepthExceeds, MAX_JSON_DEPTH } from './json-depth.ts';
export { createLifecycle, type Lifecycle } from './lifecycle.ts';
export { createLogger, type Logger } from './logger.ts';
export { createMetrics } from './metrics.ts';
export { createRpcClient, type RpcClient } from './rpc-client.ts';
export { runService } from './run-service.ts';
export { type RunningService, serve } from './serve.ts';
export type { SocketConnection, SocketDoor } from './sockets.ts';
export { clientGone, openEventStream, type SseMessage, sendEventStream, whenGone } from './sse.ts';
export { logFailure, procedure, router, type ServiceContext } from './trpc.ts';
export { watchSaves } from './watch-saves.ts';
