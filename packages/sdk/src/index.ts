export { type Client, type ClientOptions, type CreateSessionOptions, createClient } from './client.ts';
export { CodelabError, type ErrorCode } from './errors.ts';
export type { Run, RunResult } from './run.ts';
export type { EventsOptions, ItemPage, SendOptions, Session } from './session.ts';
export type {
  EventError,
  Input,
  Item,
  ModelInfo,
  RunEnd,
  SessionEvent,
  SessionInfo,
  TrackedSessionEvent,
  Usage,
} from './types.ts';
