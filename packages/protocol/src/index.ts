export {
  CompletionChunk,
  type CompletionMessage,
  CompletionRequest,
  FinishReason,
  ThinkingBlock,
} from './completion.ts';
export {
  CodelabError,
  type CodelabErrorOptions,
  type ErrorCode,
  errorCatalogue,
  fromWireError,
  isErrorCode,
  toWireError,
  type WireError,
} from './errors.ts';
export { type NewSessionEvent, SessionEvent, type TrackedEvent } from './event.ts';
export { eventBytes, waitingBytes } from './event-bytes.ts';
export { InputId, RequestId, SessionId } from './ids.ts';
export { Content, Input, InputRef, InputSend, type InputSent } from './input.ts';
export { Item, type ItemPage } from './item.ts';
export {
  LegacyClientFrame,
  type LegacyErrorFrame,
  type LegacyTokenFrame,
  MessageBody,
  MessageStreamBody,
} from './legacy.ts';
export { createLegacyFrames, isLastFrame, type LegacyFrame, type LegacyFrames, toErrorFrame } from './legacy-frames.ts';
export { mergeDeltas } from './merge-deltas.ts';
export { Model, type ModelList } from './model.ts';
export { newId } from './new-id.ts';
export { Run, RunCancel, RunRef, Usage } from './run.ts';
export { sendNow } from './send-now.ts';
export {
  ModelName,
  Session,
  SessionCreate,
  SessionEvents,
  SessionItems,
  SessionList,
  SessionRef,
  SessionState,
  SessionUpdate,
  Traced,
} from './session.ts';
export { createStreamQueue, type StreamQueue } from './stream-queue.ts';
export { createSurrogateJoiner, utf8Length } from './text.ts';
export { transformer } from './transformer.ts';
export { addUsage, noUsage } from './usage.ts';
