import { PROTOCOL_VERSION_HEADER } from '@codelab/protocol';
import type { FastifyInstance } from 'fastify';

/**
 * Lets pages of the allowed origins read gateway's answers, streams included. Other origins get no header, so that browsers keep
 * the answer from them. https://fetch.spec.whatwg.org/#http-cors-protocol
 */
export function allowOrigins(app: FastifyInstance, isAllowed: (origin: string) => boolean): void {
  app.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers;
    if (origin === undefined || !isAllowed(origin)) return;
    // On the raw response: event streams and tRPC write their own head.
    reply.raw.setHeader('access-control-allow-origin', origin);
    reply.raw.setHeader('vary', 'origin');
    reply.raw.setHeader('access-control-expose-headers', `x-request-id, retry-after, ${PROTOCOL_VERSION_HEADER}`);
    if (request.method !== 'OPTIONS') return;
    reply.raw.setHeader('access-control-allow-methods', 'GET, POST, PUT, PATCH, DELETE');
    reply.raw.setHeader(
      'access-control-allow-headers',
      `authorization, content-type, last-event-id, x-internal-auth, x-request-id, ${PROTOCOL_VERSION_HEADER}`,
    );
    reply.raw.setHeader('access-control-max-age', '600');
    return reply.status(204).send();
  });
}
