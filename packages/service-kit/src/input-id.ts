import { createHash } from 'node:crypto';

/** The input id of a message that an older client named `messageId`, which may be any text; `scope` is what the name is unique in. */
export function toInputId(scope: string, messageId: string): string {
  return `msg_${createHash('sha256').update(`${scope}\n${messageId}`).digest('hex').slice(0, 40)}`;
}
