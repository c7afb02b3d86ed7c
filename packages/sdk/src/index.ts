export { type Client, type ClientOptions, type CreateSessionOptions, createClient } from './client.ts';
export { CodelabError, type ErrorCode } from './errors.ts';
export type { Run, RunResult } from './run.ts';
export type { EventsOptions, ItemPage, SendOptions, Session } from './session.ts';
export {
  type JsonSchema,
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
  EventError,
  FileChange,
  Input,
  Item,
  ModelInfo,
  PlanEntry,
  Rule,
  RunEnd,
  SessionEvent,
  SessionInfo,
  ToolCallInfo,
  ToolKind,
  ToolOutcome,
  ToolTarget,
  TrackedSessionEvent,
  Usage,
  UsageReport,
} from './types.ts';
export type { ApprovalHandler, Decision } from './worker.ts';
