/** As much of tRPC's WebSocket client as is reached into. */
interface WsClient {
  activeConnection?: { ws?: unknown; isOpen?: () => boolean };
  requestManager?: { hasOutgoingRequests?: () => boolean; flush?: (ws: unknown) => Array<{ message: unknown }> };
  send?: (messages: unknown[]) => void;
}

/**
 * Sends what tRPC's WebSocket client holds back: it waits a turn of the timers, a millisecond or more, for further calls that could go with
 * this one, at each hop. Does just what its own `flushOutgoing` does after that turn, which then finds nothing left to do; where its insides
 * are others than those of 11.25, it does nothing.
 */
export function flushTrpcBatch(client: unknown): void {
  const { activeConnection, requestManager } = client as WsClient;
  if (activeConnection?.isOpen?.() !== true || requestManager?.hasOutgoingRequests?.() !== true) return;
  if (typeof requestManager.flush !== 'function' || typeof (client as WsClient).send !== 'function') return;
  const requests = requestManager.flush(activeConnection.ws);
  (client as Required<WsClient>).send(requests.map(({ message }) => message));
}
