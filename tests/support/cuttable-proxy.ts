import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy whose connections can be cut, or stop moving, from outside. */
export interface CuttableProxy {
  url: string;
  /** How many connections have been made. */
  readonly connections: number;
  /** Destroys every connection, or those that `picks` says; new ones are let through. */
  cut(picks?: () => boolean): void;
  /** Destroys every connection, and each new one for `ms`. */
  goAwayFor(ms: number): Promise<void>;
  /** Destroys every connection, and each new one until the result is called. */
  goAway(): () => void;
  /** Resolves with the next connection that is made. */
  nextConnection(): Promise<void>;
  close(): Promise<void>;
}

export async function startCuttableProxy(targetUrl: string): Promise<CuttableProxy> {
  const target = new URL(targetUrl);
  const open = new Set<Socket>();
  let connections = 0;
  let waiting: Array<() => void> = [];
  let isAway = false;
  const server = createServer((client) => {
    if (isAway) return void client.destroy();
    connections++;
    for (const resolve of waiting) resolve();
    waiting = [];
    const upstream = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.setNoDelay(true);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (picks = () => true) => {
    for (const socket of open) if (picks()) socket.destroy();
  };
  const goAway = () => {
    isAway = true;
    cut();
    return () => {
      isAway = false;
    };
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
    cut,
    goAway,
    async goAwayFor(ms) {
      const comeBack = goAway();
      await new Promise((resolve) => setTimeout(resolve, ms));
      comeBack();
    },
    nextConnection: () => new Promise((resolve) => waiting.push(resolve)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}
