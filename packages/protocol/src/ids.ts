import { z } from 'zod';

const ID_CHARACTERS = /^[A-Za-z0-9_.:-]+$/;

function idSchema(what: string, min: number) {
  return z
    .string(`${what} must be a string`)
    .min(min, `${what} must have at least ${min} characters`)
    .max(128, `${what} must have at most 128 characters`)
    .regex(ID_CHARACTERS, `${what} may only have the characters A-Z a-z 0-9 _ . : -`);
}

/** Names one conversation. Made by the client or by agent-runtime; 2 to 128 characters. */
export const SessionId = idSchema('session id', 2);
/** Names one message sent into a session. Made by the client, so that sending it again is harmless. */
export const InputId = idSchema('input id', 1);
/** Names one run of the agent. Made by agent-runtime. */
export const RunId = idSchema('run id', 1);
/** Names one item of a session's history. Made by agent-runtime. */
export const ItemId = idSchema('item id', 1);
/** Follows one call through all services and their logs. */
export const RequestId = idSchema('request id', 1);
/** Names one tool call within a session. Made by agent-runtime. */
export const CallId = idSchema('call id', 1);
/** Names one client that runs tools: an IDE window, an extension's instance. Made by the client. */
export const ClientId = idSchema('client id', 1);
/** Names one remembered rule. Made by agent-runtime. */
export const RuleId = idSchema('rule id', 1);
/** Names an agent: the name in its file. 1 to 128 characters. */
export const AgentName = idSchema('agent', 1);
