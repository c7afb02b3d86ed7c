import type { Duplex } from 'node:stream';
import { CodelabError } from '@codelab/protocol';
import type { RawData, WebSocket } from 'ws';
import { tokenOfParams } from './auth.ts';
import { UNKNOWN_BYTES, UNKNOWN_MS } from './socket-limits.ts';
import { closeFor } from './socket-messages.ts';

/**
 * Limits a socket whose caller is not known yet: its bytes, unfinished messages included, and its time. Call the result to lift the limits.
 */
export function boundUnknown(socket: WebSocket, raw: Duplex): () => void {
  let bytes = 0;
  const close = (message: string) => {
    lift();
    closeFor(socket, new CodelabError('UNAUTHORIZED', message));
  };
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > UNKNOWN_BYTES) close(`${UNKNOWN_BYTES / 1024} KiB came before a token: send it first`);
  };
  const timer = setTimeout(() => close(`No token came within ${UNKNOWN_MS / 1000} s`), UNKNOWN_MS);
  const lift = () => {
    clearTimeout(timer);
    raw.off('data', onData);
  };
  raw.on('data', onData);
  socket.once('close', lift);
  return lift;
}

/** Reads the token of tRPC's connectionParams, which come as the first message. Calls back once; with undefined where there is none. */
export function onConnectionParams(socket: WebSocket, take: (token: string | undefined) => void): void {
  socket.once('message', (data: RawData, isBinary: boolean) => {
    let params: unknown;
    try {
      const message = JSON.parse(isBinary ? 'null' : String(data)) as { method?: unknown; data?: unknown } | null;
      params = message?.method === 'connectionParams' ? message.data : undefined;
    } catch {}
    take(tokenOfParams(params));
  });
}
