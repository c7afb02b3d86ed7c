import { SettingsError } from './env.ts';
import type { Logger } from './logger.ts';

export interface ServiceProcess {
  log: Logger;
  shutdownTimeoutMs: number;
  start(): Promise<{ close(timeoutMs: number): Promise<void> }>;
}

/**
 * Runs a service as a process: says every wrong setting, or a taken port, in lines that a person can act on, and exits with 1; stops
 * gracefully on SIGTERM, on SIGINT, and when the process that started it (and gave it an IPC channel) is gone.
 */
export async function runService(name: string, create: () => ServiceProcess): Promise<void> {
  let service: ServiceProcess;
  let running: { close(timeoutMs: number): Promise<void> };
  // The first process of a container ignores what it has no handler for, and a start may wait for a database.
  const giveUp = () => process.exit(0);
  process.on('SIGTERM', giveUp);
  process.on('SIGINT', giveUp);
  try {
    service = create();
    running = await service.start();
  } catch (error) {
    process.stderr.write(`${name} cannot start. ${describe(error, name)}\n`);
    process.exit(1);
  }
  const { log, shutdownTimeoutMs } = service;
  let stopping = false;
  const stop = async (reason: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ reason, event: 'service.stopping' }, `${name} stops`);
    // Closing is bounded in itself; this is for what nobody foresaw.
    setTimeout(() => process.exit(1), shutdownTimeoutMs + 5000).unref();
    await running.close(shutdownTimeoutMs);
    log.flush();
    process.exit(0);
  };
  process.off('SIGTERM', giveUp);
  process.off('SIGINT', giveUp);
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  if (process.channel !== undefined) {
    process.once('disconnect', () => stop('parent gone'));
    // To one that has just gone it fails, and `disconnect` says so.
    process.send?.({ type: 'listening' }, () => {});
  }
  process.on('uncaughtException', (err) => {
    log.fatal({ err, event: 'process.crashed' }, 'uncaught exception');
    process.exit(1);
  });
}

function describe(error: unknown, name: string): string {
  if (error instanceof SettingsError) return error.message;
  const { code, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  const variable = name.toUpperCase().replaceAll('-', '_');
  if (code === 'EADDRINUSE')
    return `Port ${port} is taken: stop what listens there, or set ${variable}__PORT to another port.`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `${variable}__HOST=${address ?? ''} is not an address of this machine.`;
  if (code === 'EACCES') return `Port ${port} may not be opened by this user: set ${variable}__PORT to one over 1023.`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
