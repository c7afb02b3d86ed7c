import { AgentInfo, AgentList, AgentSwitched } from './agent.ts';
import {
  Approval,
  ApprovalDecided,
  ApprovalList,
  PreviewTaken,
  RememberedRule,
  RuleAdded,
  RuleList,
} from './approval.ts';
import { SessionEvent } from './event.ts';
import { FileChange } from './file-change.ts';
import { Attachment, Input, InputCancelled, InputSent } from './input.ts';
import { AttachmentInfo, Item, ItemPage, PlanEntry } from './item.ts';
import { JsonValue } from './json-value.ts';
import { LegacyErrorFrame, LegacyTokenFrame, MessageAnswer } from './legacy.ts';
import { Model, ModelList } from './model.ts';
import { Run, RunCancelled, RunEnd, Usage, UsageReport } from './run.ts';
import {
  Deleted,
  Effort,
  EffortChoice,
  Environment,
  Session,
  SessionCreate,
  SessionMade,
  SessionPage,
} from './session.ts';
import {
  ApprovalOutcome,
  ProgressTaken,
  Resolution,
  ResultPart,
  ResultTaken,
  SessionTool,
  ToolCallInfo,
  ToolKind,
  ToolList,
  ToolOutcome,
  ToolSpec,
  ToolsAnnounced,
  ToolTarget,
  UnusableTool,
} from './tool.ts';
import { WireError } from './wire-error.ts';

/** Names the schemas that have a name for clients too: components of `/openapi.json`, types of the SDK. */
export const schemas = {
  Session,
  SessionCreate,
  Environment,
  Effort,
  EffortChoice,
  Usage,
  ToolKind,
  ToolOutcome,
  ToolTarget,
  ApprovalOutcome,
  Resolution,
  ToolCallInfo,
  FileChange,
  PlanEntry,
  AttachmentInfo,
  Item,
  ItemPage,
  Input,
  Attachment,
  Approval,
  RememberedRule,
  AgentInfo,
  Model,
  UsageReport,
  RunEnd,
  WireError,
  Run,
  ToolSpec,
  SessionTool,
  SessionEvent,
  SessionMade,
  SessionPage,
  Deleted,
  InputSent,
  InputCancelled,
  RunCancelled,
  ToolsAnnounced,
  UnusableTool,
  ToolList,
  ResultTaken,
  ProgressTaken,
  ResultPart,
  ApprovalList,
  ApprovalDecided,
  PreviewTaken,
  RuleList,
  RuleAdded,
  AgentList,
  AgentSwitched,
  ModelList,
  MessageAnswer,
  LegacyTokenFrame,
  LegacyErrorFrame,
  JsonValue,
};

/** Names each event of the union: `session.updated` is `SessionUpdatedEvent`. */
export const eventSchemas: Record<string, (typeof SessionEvent.options)[number]> = Object.fromEntries(
  SessionEvent.options.map((option) => [
    `${option.shape.type.value.replace(/(?:^|[._])(\w)/g, (_, letter: string) => letter.toUpperCase())}Event`,
    option,
  ]),
);
