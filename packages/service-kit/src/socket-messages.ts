import { isUtf8 } from 'node:buffer';
import { CodelabError } from '@codelab/protocol';
import type { RawData, WebSocket } from 'ws';
import { MAX_BODY_BYTES } from './socket-limits.ts';

/** WebSocket close code: what came is against the rules. */
const POLICY = 1008;
const CLOSE_MS = 1_000;
const MAX_REASON_BYTES = 123;

/** Returns why a message can't be taken, if it can't. */
export function refusalOfMessage(data: RawData, isBinary: boolean): CodelabError | undefined {
  if (isBinary) return new CodelabError('VALIDATION', 'Binary frames are not accepted: send JSON as a text frame.');
  const buffer = data as Buffer;
  if (buffer.length > MAX_BODY_BYTES)
    return new CodelabError(
      'PAYLOAD_TOO_LARGE',
      `The message is too large: at most ${MAX_BODY_BYTES / 1024 / 1024} MiB.`,
    );
  if (!isUtf8(buffer)) return new CodelabError('VALIDATION', 'The message is not valid UTF-8.');
  return undefined;
}

/** Closes a socket with its reason, and reads no more of it: whoever sends without end does not see the end either. */
export function closeFor(socket: WebSocket, { code, message }: CodelabError): void {
  if (socket.readyState !== socket.OPEN) return;
  const reason = Buffer.from(`${code}: ${message}`);
  // Cut where a character ends.
  const text = reason.subarray(0, MAX_REASON_BYTES).toString('utf8').replace(/�+$/, '');
  socket.close(POLICY, text);
  socket.pause();
  setTimeout(() => socket.terminate(), CLOSE_MS).unref();
}
