/** The private members of tRPC's WebSocket client that this uses. */
interface WsClient {
  activeConnection?: { ws?: unknown; isOpen?: () => boolean };
  requestManager?: { hasOutgoingRequests?: () => boolean; flush?: (ws: unknown) => Array<{ message: unknown }> };
  send?: (messages: unknown[]) => void;
}

/** Begins a call or a subscription of tRPC's WebSocket client, and sends it at once. */
export function sendAtOnce<T>(client: unknown, begin: () => T): T {
  const begun = begin();
  flushTrpcBatch(client);
  return begun;
}

/**
 * Sends at once the calls that tRPC's WebSocket client batches: it waits a turn of the timers, a millisecond or more, for further calls. That
 * was 5 ms of a message's way to its first token, over all hops (ARCHITECTURE.md). Does what the client's own `flushOutgoing` does after that
 * turn, which then finds nothing to do. Does nothing where the client's insides differ from those of 11.25; service-kit's rpc-client.test.ts
 * notices.
 */
function flushTrpcBatch(client: unknown): void {
  const { activeConnection, requestManager } = client as WsClient;
  if (activeConnection?.isOpen?.() !== true || requestManager?.hasOutgoingRequests?.() !== true) return;
  if (typeof requestManager.flush !== 'function' || typeof (client as WsClient).send !== 'function') return;
  const requests = requestManager.flush(activeConnection.ws);
  (client as Required<WsClient>).send(requests.map(({ message }) => message));
}
