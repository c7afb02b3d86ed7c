import type {
  ErrorCode as ProtocolErrorCode,
  SessionEvent as ProtocolEvent,
  Item as ProtocolItem,
  Model as ProtocolModel,
  Session as ProtocolSession,
  Usage as ProtocolUsage,
} from '@codelab/protocol';
import { expectTypeOf } from 'vitest';
import type { ErrorCode, Item, ModelInfo, SessionEvent, SessionInfo, Usage } from './index.ts';

// The SDK's types are written by hand, so that none of ours get into its .d.ts. They say the same.
expectTypeOf<SessionInfo>().toEqualTypeOf<ProtocolSession>();
expectTypeOf<Item>().toEqualTypeOf<ProtocolItem>();
expectTypeOf<Usage>().toEqualTypeOf<ProtocolUsage>();
expectTypeOf<ModelInfo>().toEqualTypeOf<ProtocolModel>();
expectTypeOf<ErrorCode>().toEqualTypeOf<ProtocolErrorCode>();
expectTypeOf<SessionEvent['type']>().toEqualTypeOf<ProtocolEvent['type']>();
expectTypeOf<ProtocolEvent>().toExtend<SessionEvent>();
expectTypeOf<SessionEvent>().toExtend<ProtocolEvent>();
