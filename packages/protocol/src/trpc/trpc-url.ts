import { PROTOCOL_VERSION, PROTOCOL_VERSION_PARAMETER } from '../version.ts';

/** Returns the address of tRPC's WebSocket at a service, which names our version of the protocol. */
export function toTrpcUrl(serviceUrl: string): string {
  const base = serviceUrl.replace(/^http/, 'ws').replace(/\/+$/, '');
  return `${base}/trpc?${PROTOCOL_VERSION_PARAMETER}=${PROTOCOL_VERSION}`;
}
