import { transformer } from '@codelab/protocol';
import { TRPCClientError, type TRPCLink } from '@trpc/client';
import type { AnyTRPCRouter } from '@trpc/server';
import { observable } from '@trpc/server/observable';
import type { PeerMessage, PeerSocket } from './peer-socket.ts';

/** The options of a subscription beside its input, as tRPC's `context`. */
export type PeerContext = {
  /** Takes the messages that bring data as text (`toTail`), and no `onData` is called. */
  onTail?: (tail: string) => void;
};

/** Makes a socket the transport of tRPC's client. */
export function peerLink<R extends AnyTRPCRouter>(socket: PeerSocket): TRPCLink<R> {
  return () =>
    ({ op: { type, path, input, signal, context } }) =>
      observable((observer) => {
        const { onTail } = context as PeerContext;
        const onMessage = (message: PeerMessage) => {
          if ('error' in message) {
            const error = transformer.deserialize(message.error as never);
            observer.error(TRPCClientError.from({ ...message, error }));
            return;
          }
          const { result } = message;
          if (result.type === 'data')
            observer.next({ result: { ...result, type: 'data', data: transformer.deserialize(result.data as never) } });
          if (type !== 'subscription' || result.type === 'stopped') observer.complete();
        };
        const end = socket.begin({
          method: type,
          path,
          input,
          onTail,
          onMessage,
          onBroken: () => observer.error(TRPCClientError.from(new Error('The socket broke.'))),
          onReachable(isReachable) {
            if (type !== 'subscription') return;
            const state = isReachable ? 'pending' : 'connecting';
            observer.next({ result: { type: 'state', state, error: null } as never });
          },
        });
        const onAbort = () => observer.complete();
        signal?.addEventListener('abort', onAbort);
        if (signal?.aborted) onAbort();
        return () => {
          signal?.removeEventListener('abort', onAbort);
          end();
        };
      });
}
