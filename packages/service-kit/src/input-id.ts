import { sha256 } from './sha256.ts';

/** Returns the input id of a message that an older client named `messageId`, which may be any text and is unique within `scope`. */
export function toInputId(scope: string, messageId: string): string {
  return `msg_${sha256(`${scope}\n${messageId}`).toString('hex').slice(0, 40)}`;
}
