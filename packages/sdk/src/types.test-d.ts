import type {
  AgentInfo as ProtocolAgent,
  Approval as ProtocolApproval,
  ErrorCode as ProtocolErrorCode,
  SessionEvent as ProtocolEvent,
  Item as ProtocolItem,
  Model as ProtocolModel,
  RememberedRule as ProtocolRule,
  Session as ProtocolSession,
  Usage as ProtocolUsage,
  UsageReport as ProtocolUsageReport,
} from '@codelab/protocol';
import { expectTypeOf } from 'vitest';
import type {
  AgentInfo,
  Approval,
  ErrorCode,
  Item,
  ModelInfo,
  Rule,
  SessionEvent,
  SessionInfo,
  Usage,
  UsageReport,
} from './index.ts';

// The SDK's types are written by hand, so that none of ours get into its .d.ts. They say the same.
expectTypeOf<SessionInfo>().toEqualTypeOf<ProtocolSession>();
expectTypeOf<Item>().toEqualTypeOf<ProtocolItem>();
expectTypeOf<AgentInfo>().toEqualTypeOf<ProtocolAgent>();
expectTypeOf<Approval>().toEqualTypeOf<ProtocolApproval>();
expectTypeOf<Rule>().toEqualTypeOf<ProtocolRule>();
expectTypeOf<UsageReport>().toEqualTypeOf<ProtocolUsageReport>();
expectTypeOf<Usage>().toEqualTypeOf<ProtocolUsage>();
expectTypeOf<ModelInfo>().toEqualTypeOf<ProtocolModel>();
expectTypeOf<ErrorCode>().toEqualTypeOf<ProtocolErrorCode>();
expectTypeOf<SessionEvent['type']>().toEqualTypeOf<ProtocolEvent['type']>();
expectTypeOf<ProtocolEvent>().toExtend<SessionEvent>();
expectTypeOf<SessionEvent>().toExtend<ProtocolEvent>();
