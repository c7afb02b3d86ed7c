export type { AgentInfo, AgentList, AgentSwitch } from './agent.ts';
export { type AnswerStream, createAnswer, createAnswerStream } from './answer.ts';
export {
  Approval,
  ApprovalDecide,
  ApprovalPreview,
  RememberedRule,
  Rule,
  RuleAdd,
  type RuleEffect,
  RuleRef,
} from './approval.ts';
export { BoundedMap } from './bounded-map.ts';
export {
  CompletionChunk,
  type CompletionMessage,
  CompletionRequest,
  FinishReason,
  type SignedThinkingBlock,
  ThinkingBlock,
} from './completion.ts';
export { contract } from './contract.ts';
export {
  CodelabError,
  type CodelabErrorOptions,
  type ErrorCode,
  errorCatalogue,
  fromWireError,
  isErrorCode,
  toWireError,
} from './errors.ts';
export { type NewSessionEvent, SessionEvent, type TrackedEvent } from './event.ts';
export { eventBytes, itemBytes, waitingBytes } from './event-size.ts';
export { FileChange } from './file-change.ts';
export { changesBytes, MAX_CHANGES_BYTES, toFileHunks } from './file-hunks.ts';
export { compileGlob, escapeGlob, type GlobWork, MAX_GLOB_LENGTH } from './glob.ts';
export { AgentName, CallId, InputId, RequestId, SessionId } from './ids.ts';
export { Attachment, Content, Input, InputRef, InputSend, type InputSent } from './input.ts';
export { Item, type ItemKind, type ItemPage, PlanEntry } from './item.ts';
export { MAX_VALUE_DEPTH } from './json-depth.ts';
export {
  LegacyClientFrame,
  LegacyErrorFrame,
  LegacyTokenFrame,
  type LegacyWaitingFrame,
  MessageAnswer,
  MessageBody,
  MessageStreamBody,
} from './legacy.ts';
export {
  createLegacyFrames,
  createLegacyToolFrames,
  isLastFrame,
  type LegacyFrame,
  type LegacyFrames,
  type LegacyToolFrame,
  toErrorFrame,
  toSwitchedFrame,
} from './legacy-frames.ts';
export { createLegacyWaits } from './legacy-waits.ts';
export { createEventMender, type History, mendEvents } from './mend-events.ts';
export { mergeDeltas } from './merge-deltas.ts';
export { Model, type ModelList } from './model.ts';
export { newId } from './new-id.ts';
export { patchExcess } from './patch-limits.ts';
export {
  compilePathGlob,
  isAbsolute,
  isOutside,
  normalizePath,
  normalizeProject,
  type PathTest,
  withoutEscapes,
} from './paths.ts';
export {
  type Contract,
  commonErrors,
  mutation,
  type Procedure,
  type ProcedureType,
  proceduresOf,
  query,
  type RestRoute,
  subscription,
} from './procedure.ts';
export { backoff, pause, retry } from './retry.ts';
export { compileRuleGlob, isFromTop } from './rule-globs.ts';
export { Run, RunCancel, RunRef, Usage, UsageGet, type UsageReport } from './run.ts';
export { eventSchemas, schemas } from './schemas.ts';
export {
  Effort,
  Environment,
  MAX_INSTRUCTIONS,
  ModelName,
  Session,
  SessionCreate,
  SessionEvents,
  SessionFork,
  SessionItems,
  SessionList,
  SessionRef,
  SessionState,
  SessionUpdate,
  Traced,
} from './session.ts';
export { standardTools } from './standard-tools.ts';
export { createMergeQueue, pullFrom, QUEUE_BYTES } from './stream-queue.ts';
export { createSurrogateJoiner, utf8Length, wholeEnd, wholePart } from './text.ts';
export { CHARACTERS_PER_TOKEN, estimateTextTokens, IMAGE_TOKENS } from './token-estimate.ts';
export {
  type ApprovalOutcome,
  MAX_TOOLS,
  MAX_TOOLS_BYTES,
  type Resolution,
  type SessionTool,
  ToolAnnounce,
  type ToolCallInfo,
  type ToolKind,
  type ToolList,
  type ToolOutcome,
  ToolProgress,
  ToolResult,
  ToolResultRead,
  ToolSpec,
  type ToolTarget,
  toolBytes,
  type UnusableTool,
} from './tool.ts';
export { sendAtOnce } from './trpc/flush-trpc-batch.ts';
export {
  followRpcStream,
  fromRpcError,
  type RpcFollowOptions,
  type RpcStreamOptions,
  readRpcStream,
  type StreamObserver,
} from './trpc/rpc-stream.ts';
export { transformer } from './trpc/transformer.ts';
export { toTrpcUrl } from './trpc/trpc-url.ts';
export { addUsage, noUsage } from './usage.ts';
export {
  OLDEST_PROTOCOL_VERSION,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_HEADER,
  PROTOCOL_VERSION_PARAMETER,
  protocolRefusal,
} from './version.ts';
export type { WireError } from './wire-error.ts';
