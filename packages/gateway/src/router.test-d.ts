import type {
  AgentList,
  Approval,
  Attachment,
  Environment,
  Input,
  InputSent,
  Item,
  ItemPage,
  ModelList,
  Run,
  Session,
  SessionEvent,
  SessionTool,
  UnusableTool,
  UsageReport,
} from '@codelab/protocol';
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import { expectTypeOf } from 'vitest';
import type { GatewayRouter } from './router.ts';

type Inputs = inferRouterInputs<GatewayRouter>;
type Outputs = inferRouterOutputs<GatewayRouter>;
type Maybe<T> = T | undefined;

// What a client is told of a procedure is what the contract says: no field more, none less, none of any.
expectTypeOf<Inputs['session']['create']>().toEqualTypeOf<{
  sessionId?: Maybe<string>;
  title?: Maybe<string>;
  agent?: Maybe<string>;
  model?: Maybe<string>;
  effort?: Maybe<Session['effort']>;
  project?: Maybe<string>;
  metadata?: Maybe<Record<string, string>>;
  environment?: Maybe<Environment>;
  requestId?: Maybe<string>;
}>();
expectTypeOf<Inputs['session']['list']>().toEqualTypeOf<{
  cursor?: Maybe<string>;
  limit?: Maybe<number>;
  search?: Maybe<string>;
  project?: Maybe<string>;
  requestId?: Maybe<string>;
}>();
expectTypeOf<Inputs['session']['events']>().toEqualTypeOf<{
  sessionId: string;
  lastEventId?: Maybe<string | null>;
  from?: Maybe<'now' | 'start'>;
  inputId?: Maybe<string>;
  clientId?: Maybe<string>;
  requestId?: Maybe<string>;
}>();
expectTypeOf<Inputs['input']['send']>().toEqualTypeOf<{
  sessionId: string;
  inputId: string;
  content: string;
  attachments?: Maybe<Attachment[]>;
  agent?: Maybe<string>;
  model?: Maybe<string>;
  effort?: Maybe<Session['effort']>;
  whenBusy?: Maybe<'queue' | 'steer' | 'interrupt' | 'reject'>;
  createSession?: Maybe<boolean>;
  requestId?: Maybe<string>;
}>();
expectTypeOf<Inputs['approval']['decide']>().toEqualTypeOf<{
  sessionId: string;
  callId: string;
  decision: 'allow' | 'edit' | 'reject';
  scope?: Maybe<'once' | 'session' | 'project'>;
  resource?: Maybe<string>;
  arguments?: Maybe<Record<string, unknown>>;
  dropHunks?: Maybe<number[]>;
  feedback?: Maybe<string>;
  by?: Maybe<string>;
  requestId?: Maybe<string>;
}>();
expectTypeOf<Extract<Inputs['agent']['list'], object>>().toEqualTypeOf<{ requestId?: Maybe<string> }>();
expectTypeOf<undefined>().toExtend<Inputs['agent']['list']>();
expectTypeOf<Inputs['usage']['get']>().toEqualTypeOf<{ sessionId?: Maybe<string>; requestId?: Maybe<string> }>();

expectTypeOf<Outputs['session']['create']>().toEqualTypeOf<{ session: Session; replayed: boolean }>();
expectTypeOf<Outputs['session']['list']>().toEqualTypeOf<{ sessions: Session[]; nextCursor?: string }>();
expectTypeOf<Outputs['session']['items']>().toEqualTypeOf<ItemPage>();
expectTypeOf<ItemPage>().toEqualTypeOf<{ items: Item[]; nextCursor?: string }>();
expectTypeOf<Outputs['session']['events']>().toEqualTypeOf<
  AsyncIterable<{ id: string; data: SessionEvent }, void, unknown>
>();
expectTypeOf<Outputs['input']['send']>().toEqualTypeOf<InputSent>();
expectTypeOf<InputSent>().toEqualTypeOf<{
  inputId: string;
  status: 'queued' | 'delivered' | 'cancelled';
  replayed: boolean;
  runId?: string;
  eventId: string;
}>();
expectTypeOf<Outputs['input']['get']>().toEqualTypeOf<Input>();
expectTypeOf<Outputs['run']['get']>().toEqualTypeOf<Run>();
expectTypeOf<Outputs['run']['cancel']>().toEqualTypeOf<{ status: 'cancelling' | 'already_finished' }>();
expectTypeOf<Outputs['tool']['list']>().toEqualTypeOf<{ tools: SessionTool[]; unusable?: UnusableTool[] }>();
expectTypeOf<Outputs['approval']['list']>().toEqualTypeOf<{ approvals: Approval[] }>();
expectTypeOf<Outputs['agent']['list']>().toEqualTypeOf<AgentList>();
expectTypeOf<Outputs['model']['list']>().toEqualTypeOf<ModelList>();
expectTypeOf<Outputs['usage']['get']>().toEqualTypeOf<UsageReport>();
