import type { GatewayRouter } from '@codelab/gateway/router';
import type {
  AgentInfo as ProtocolAgent,
  Approval as ProtocolApproval,
  ErrorCode as ProtocolErrorCode,
  SessionEvent as ProtocolEvent,
  Item as ProtocolItem,
  ItemPage as ProtocolItemPage,
  Model as ProtocolModel,
  RememberedRule as ProtocolRule,
  Run as ProtocolRun,
  Session as ProtocolSession,
  Usage as ProtocolUsage,
  UsageReport as ProtocolUsageReport,
} from '@codelab/protocol';
import type { TRPCClient } from '@trpc/client';
import { expectTypeOf } from 'vitest';
import { CodelabError } from './errors.ts';
import type {
  AgentInfo,
  Approval,
  ErrorCode,
  Item,
  ItemPage,
  ModelInfo,
  Procedures,
  Rule,
  RunInfo,
  SessionEvent,
  SessionInfo,
  Usage,
  UsageReport,
} from './index.ts';
import type { AppRouter } from './router.ts';

// The SDK's types are written out from the schemas, so that none of ours get into its .d.ts. They say the same.
expectTypeOf<SessionInfo>().toEqualTypeOf<ProtocolSession>();
expectTypeOf<Item>().toEqualTypeOf<ProtocolItem>();
expectTypeOf<ItemPage>().toEqualTypeOf<ProtocolItemPage>();
expectTypeOf<RunInfo>().toEqualTypeOf<ProtocolRun>();
expectTypeOf<AgentInfo>().toEqualTypeOf<ProtocolAgent>();
expectTypeOf<Approval>().toEqualTypeOf<ProtocolApproval>();
expectTypeOf<Rule>().toEqualTypeOf<ProtocolRule>();
expectTypeOf<UsageReport>().toEqualTypeOf<ProtocolUsageReport>();
expectTypeOf<Usage>().toEqualTypeOf<ProtocolUsage>();
expectTypeOf<ModelInfo>().toEqualTypeOf<ProtocolModel>();
expectTypeOf<ErrorCode>().toEqualTypeOf<ProtocolErrorCode>();
expectTypeOf<SessionEvent>().toEqualTypeOf<ProtocolEvent>();

// What `client.call` takes and answers is what gateway does.
type Trpc = TRPCClient<GatewayRouter>;
type Calls = {
  [N in keyof Procedures]: N extends `${infer G}.${infer P}`
    ? G extends keyof Trpc
      ? P extends keyof Trpc[G]
        ? Trpc[G][P] extends { query: infer Call } | { mutate: infer Call }
          ? Call
          : never
        : never
      : never
    : never;
};
type InputOf<Call> = Call extends (input: infer I, ...rest: never[]) => unknown ? NonNullable<I> : never;
type OutputOf<Call> = Call extends (...given: never[]) => Promise<infer O> ? O : never;
expectTypeOf<{ [N in keyof Procedures]: Procedures[N]['output'] }>().toEqualTypeOf<{
  [N in keyof Calls]: OutputOf<Calls[N]>;
}>();
expectTypeOf<{ [N in keyof Procedures]: Procedures[N]['input'] }>().toExtend<{
  [N in keyof Calls]: InputOf<Calls[N]>;
}>();
type WithInput = Exclude<keyof Procedures, 'agent.list' | 'model.list'>;
expectTypeOf<{ [N in WithInput]: Procedures[N]['input'] }>().toEqualTypeOf<{
  [N in WithInput]: Omit<InputOf<Calls[N]>, 'requestId'>;
}>();

// A client of the published router can call what one of gateway's own can, and gets the same.
type Published = TRPCClient<AppRouter>;
type Signatures<T> = {
  [G in keyof T]: {
    [P in keyof T[G]]: T[G][P] extends { query: infer Call } | { mutate: infer Call }
      ? { output: OutputOf<Call>; input: Omit<InputOf<Call>, 'requestId'> }
      : T[G][P] extends { subscribe: (input: infer I, options: infer O) => unknown }
        ? { input: Omit<I, 'requestId'>; onData: O extends { onData?: infer Take } ? Take : never }
        : never;
  };
};
expectTypeOf<Signatures<Published>['run']['get']['output']>().toEqualTypeOf<RunInfo>();
expectTypeOf<keyof Published>().toEqualTypeOf<keyof Trpc>();
expectTypeOf<Signatures<Published>>().toEqualTypeOf<Signatures<Trpc>>();

// `instanceof` tells what an error is.
const thrown: unknown = undefined;
if (thrown instanceof CodelabError) expectTypeOf(thrown.code).toEqualTypeOf<ErrorCode>();
