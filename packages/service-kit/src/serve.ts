import type { AddressInfo } from 'node:net';
import type { AnyRouter } from '@trpc/server';
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { type AllowOrigin, type Authorize, type Credentials, requireServedVersion } from './auth.ts';
import { createDoorkeeper } from './doorkeeper.ts';
import { addAdmission, createHttpApp, trpcRoutes } from './http-app.ts';
import { createLifecycle, type Lifecycle } from './lifecycle.ts';
import type { Logger } from './logger.ts';
import { addServingMetrics, createMetrics } from './metrics.ts';
import { createSocketServer, type SocketEndpoint } from './sockets.ts';
import { type Backpressure, noBackpressure } from './trpc/backpressure.ts';
import type { ServiceContext } from './trpc/procedure.ts';

export interface ServeOptions {
  name: string;
  version: string;
  host: string;
  port: number;
  log: Logger;
  router: AnyRouter;
  authorize: Authorize;
  /** Authorizes readers of `/metrics`. @default authorize */
  authorizeMetrics?: Authorize;
  /** Allows pages to open a WebSocket without a token, or to show it afterwards. @default none */
  allowsOrigin?: AllowOrigin;
  /** True for a service of ours, whose one socket carries many people's work. @default none */
  isService?: (credentials: Credentials) => boolean;
  /** Takes `?token=` on every route, as on WebSockets. @default false */
  takesTokenInUrl?: boolean;
  /** Adds the service's own routes. */
  routes?: (
    app: FastifyInstance,
    makeContext: (request: Credentials, requestId: string, backpressure?: Backpressure) => ServiceContext,
    lifecycle: Lifecycle,
  ) => void;
  door?: SocketEndpoint;
  /** Counts the service's own work as well. @default a new one */
  lifecycle?: Lifecycle;
  /** The metrics of `/metrics`. @default those of the process */
  metrics?: Registry;
  /** Ends what still runs when its time is over. */
  onTimeout?: () => Promise<void>;
}

export interface RunningService {
  url: string;
  port: number;
  /** Stops accepting, lets what runs finish for up to `timeoutMs`, then closes everything. */
  close(timeoutMs?: number): Promise<void>;
}

/** One port for everything a service has: health, its routes, tRPC over HTTP and WebSocket, raw WebSockets. */
export async function serve(options: ServeOptions): Promise<RunningService> {
  const { name, version, log, router, lifecycle = createLifecycle() } = options;
  const authorize = requireServedVersion(options.authorize);
  const { authorizeMetrics = authorize, takesTokenInUrl = false } = options;
  const app = createHttpApp({ name, version, log, lifecycle });
  const doorkeeper = createDoorkeeper(log);

  const makeContext = (
    credentials: Credentials,
    requestId: string,
    backpressure: Backpressure = noBackpressure,
  ): ServiceContext => ({
    requestId,
    refusal: isAdmitted(credentials) ? undefined : authorize(credentials),
    credentials,
    log,
    lifecycle,
    backpressure,
  });

  options.routes?.(app, makeContext, lifecycle);
  // After the hooks of the routes, which answer preflights.
  const isAdmitted = addAdmission(app, { name, authorize, authorizeMetrics, doorkeeper, takesTokenInUrl });
  app.register(trpcRoutes({ router, log, makeContext }));

  const metrics = options.metrics ?? createMetrics(name);
  app.get('/metrics', { config: { access: 'metrics' } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );

  const sockets = createSocketServer({ ...options, authorize, lifecycle, doorkeeper, makeContext });
  addServingMetrics(metrics, lifecycle, sockets.count);
  app.server.on('upgrade', sockets.upgrade);
  await app.listen({ host: options.host, port: options.port });
  const address = app.server.address() as AddressInfo;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  const url = `http://${host}:${address.port}`;
  log.info({ url, event: 'service.listening' }, `${name} listens on ${url}`);

  let closing: Promise<void> | undefined;
  return {
    url,
    port: address.port,
    close(timeoutMs = 0) {
      closing ??= (async () => {
        app.server.closeIdleConnections();
        const stopped = new Promise<void>((resolve) => app.server.close(() => resolve()));
        await lifecycle.drain(timeoutMs);
        await options.onTimeout?.();
        await sockets.close();
        app.server.closeIdleConnections();
        // What is left has had its time.
        const force = setTimeout(() => app.server.closeAllConnections(), 100);
        await stopped;
        clearTimeout(force);
        await app.close();
      })();
      return closing;
    },
  };
}
