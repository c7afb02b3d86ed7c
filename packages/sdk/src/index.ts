export { type Client, type ClientOptions, createClient } from './client.ts';
export { CodelabError } from './errors.ts';
export type { Run, RunResult } from './run.ts';
export type { EventsOptions, SendOptions, Session } from './session.ts';
export {
  type JsonSchema,
  type PreviewContext,
  type StandardSchema,
  type Tool,
  type ToolContext,
  type ToolDefinition,
  tool,
} from './tools.ts';
export type {
  AgentInfo,
  Approval,
  ApprovalOutcome,
  Attachment,
  AttachmentInfo,
  CreateSessionOptions,
  Effort,
  EffortChoice,
  Environment,
  ErrorCode,
  FileChange,
  Input,
  Item,
  ItemPage,
  ModelInfo,
  PlanEntry,
  Procedures,
  Rule,
  RunEnd,
  RunInfo,
  SessionEvent,
  SessionInfo,
  ToolCallInfo,
  ToolKind,
  ToolOutcome,
  ToolTarget,
  TrackedSessionEvent,
  Usage,
  UsageReport,
  WireError,
} from './types.ts';
export type { ApprovalContext, ApprovalHandler, Decision } from './worker.ts';
