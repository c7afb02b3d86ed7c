import { AgentList, AgentSwitch, AgentSwitched } from './agent.ts';
import {
  ApprovalDecide,
  ApprovalDecided,
  ApprovalList,
  ApprovalPreview,
  PreviewTaken,
  RuleAdd,
  RuleAdded,
  RuleList,
  RuleRef,
} from './approval.ts';
import { SessionEvent } from './event.ts';
import { Input, InputCancelled, InputRef, InputSend, InputSent } from './input.ts';
import { ItemPage } from './item.ts';
import { ModelList } from './model.ts';
import { type Contract, mutation, query, subscription } from './procedure.ts';
import { Run, RunCancel, RunCancelled, RunRef, UsageGet, UsageReport } from './run.ts';
import {
  Deleted,
  Session,
  SessionCreate,
  SessionEvents,
  SessionFork,
  SessionItems,
  SessionList,
  SessionMade,
  SessionPage,
  SessionRef,
  SessionUpdate,
} from './session.ts';
import {
  ProgressTaken,
  ResultPart,
  ResultTaken,
  ToolAnnounce,
  ToolList,
  ToolProgress,
  ToolResult,
  ToolResultRead,
  ToolsAnnounced,
} from './tool.ts';

const session = {
  create: mutation({
    summary: 'Create a session',
    input: SessionCreate,
    output: SessionMade,
    errors: ['IDEMPOTENCY_MISMATCH'],
    rest: [{ method: 'POST', path: '/api/v1/sessions', status: 201 }],
  }),
  get: query({
    summary: 'Get a session',
    input: SessionRef,
    output: Session,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}' }],
  }),
  list: query({
    summary: 'List sessions, the one used last first',
    input: SessionList,
    output: SessionPage,
    rest: [{ method: 'GET', path: '/api/v1/sessions' }],
  }),
  update: mutation({
    summary: 'Change a session',
    input: SessionUpdate,
    output: Session,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'PATCH', path: '/api/v1/sessions/{sessionId}' }],
  }),
  fork: mutation({
    summary: 'Copy a session up to an item',
    notes: 'Without `itemId` all that was said is copied.',
    input: SessionFork,
    output: SessionMade,
    errors: ['NOT_FOUND', 'IDEMPOTENCY_MISMATCH'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/fork', status: 201 }],
  }),
  delete: mutation({
    summary: 'Delete a session',
    notes: 'Its run is cancelled.',
    input: SessionRef,
    output: Deleted,
    rest: [{ method: 'DELETE', path: '/api/v1/sessions/{sessionId}' }],
  }),
  items: query({
    summary: 'Read the history, newest last',
    notes: 'A page has at most about 1 MiB; `nextCursor` leads to older items.',
    input: SessionItems,
    output: ItemPage,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/items' }],
  }),
  events: subscription({
    summary: "Follow the session's events (server-sent events, resumed by Last-Event-ID)",
    notes: 'PROTOCOL.md §4, §5.',
    input: SessionEvents,
    output: SessionEvent,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/events', without: ['inputId'] }],
  }),
};

const input = {
  send: mutation({
    summary: 'Send a message',
    input: InputSend,
    output: InputSent,
    errors: ['NOT_FOUND', 'SESSION_BUSY', 'IDEMPOTENCY_MISMATCH'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/inputs', status: 202 }],
  }),
  get: query({
    summary: 'Get a message and what became of it',
    input: InputRef,
    output: Input,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/inputs/{inputId}' }],
  }),
  cancel: mutation({
    summary: 'Take back a message that still waits',
    notes: '`INPUT_ALREADY_DELIVERED` has `{runId}` as details.',
    input: InputRef,
    output: InputCancelled,
    errors: ['NOT_FOUND', 'INPUT_ALREADY_DELIVERED'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/inputs/{inputId}/cancel' }],
  }),
};

const run = {
  get: query({
    summary: 'Get a run',
    input: RunRef,
    output: Run,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/runs/{runId}' }],
  }),
  cancel: mutation({
    summary: 'Cancel the active run',
    input: RunCancel,
    output: RunCancelled,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/cancel' }],
  }),
};

const tool = {
  announce: mutation({
    summary: 'Announce the tools that a client runs',
    notes: 'All the tools of that client.',
    input: ToolAnnounce,
    output: ToolsAnnounced,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'PUT', path: '/api/v1/sessions/{sessionId}/tools' }],
  }),
  list: query({
    summary: 'List the tools of a session',
    input: SessionRef,
    output: ToolList,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/tools' }],
  }),
  result: mutation({
    summary: 'Give the result of a tool call',
    notes: 'Either `result` or `error`. With `decides` it is also the decision that the call waits for.',
    input: ToolResult,
    output: ResultTaken,
    errors: ['NOT_FOUND', 'TOOL_CALL_FINISHED'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/calls/{callId}/result', without: ['decides'] }],
  }),
  progress: mutation({
    summary: 'Say how far a tool call is',
    notes: 'Its time begins anew.',
    input: ToolProgress,
    output: ProgressTaken,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/calls/{callId}/progress' }],
  }),
  readResult: query({
    summary: 'Read a part of a large tool result',
    notes: '`offset`, `limit` and `length` count UTF-16 code units.',
    input: ToolResultRead,
    output: ResultPart,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/results/{resultId}' }],
  }),
};

const approval = {
  list: query({
    summary: 'List the tool calls that wait for a decision',
    input: SessionRef,
    output: ApprovalList,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/approvals' }],
  }),
  decide: mutation({
    summary: 'Allow, edit or reject a tool call',
    notes: 'PROTOCOL.md §10.',
    input: ApprovalDecide,
    output: ApprovalDecided,
    errors: ['NOT_FOUND', 'APPROVAL_ALREADY_RESOLVED'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/approvals/{callId}' }],
  }),
  preview: mutation({
    summary: 'Say what a tool call would change, for the person who decides',
    notes: 'From the client that would run it. PROTOCOL.md §10.',
    input: ApprovalPreview,
    output: PreviewTaken,
    errors: ['NOT_FOUND', 'APPROVAL_ALREADY_RESOLVED'],
    rest: [{ method: 'PUT', path: '/api/v1/sessions/{sessionId}/approvals/{callId}/changes' }],
  }),
};

const rule = {
  list: query({
    summary: 'List what is remembered',
    input: SessionRef,
    output: RuleList,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'GET', path: '/api/v1/sessions/{sessionId}/rules' }],
  }),
  add: mutation({
    summary: 'Add a rule',
    input: RuleAdd,
    output: RuleAdded,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/rules', status: 201 }],
  }),
  delete: mutation({
    summary: 'Forget a rule',
    input: RuleRef,
    output: Deleted,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'DELETE', path: '/api/v1/sessions/{sessionId}/rules/{ruleId}' }],
  }),
};

const agent = {
  list: query({ summary: 'List agents', output: AgentList, rest: [{ method: 'GET', path: '/api/v1/agents' }] }),
  switch: mutation({
    summary: 'Switch the agent',
    input: AgentSwitch,
    output: AgentSwitched,
    errors: ['NOT_FOUND'],
    rest: [{ method: 'POST', path: '/api/v1/sessions/{sessionId}/agent' }],
  }),
};

const model = {
  list: query({ summary: 'List models', output: ModelList, rest: [{ method: 'GET', path: '/api/v1/models' }] }),
};

const usage = {
  get: query({
    summary: 'Get what one session has used, or all',
    input: UsageGet,
    output: UsageReport,
    errors: ['NOT_FOUND'],
    rest: [
      {
        method: 'GET',
        path: '/api/v1/sessions/{sessionId}/usage',
        summary: 'Get what a session has used',
      },
      { method: 'GET', path: '/api/v1/usage', summary: 'Get what all sessions have used', without: ['sessionId'] },
    ],
  }),
};

/**
 * Says of each procedure what it takes, answers and refuses with, and its way over REST. agent-runtime implements it, gateway forwards
 * it; REST, `/openapi.json`, the types of the SDK and the tables of PROTOCOL.md are made from it.
 */
export const contract = {
  session,
  input,
  run,
  tool,
  approval,
  rule,
  agent,
  model,
  usage,
} satisfies Contract;
