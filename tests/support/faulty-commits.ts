import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/**
 * What becomes of a commit: `fails`: the connection is lost before PostgreSQL has it; `unknown`: PostgreSQL makes it, and its answer is
 * lost; `late`: PostgreSQL gets it only after `LATE_MS`.
 */
export type CommitFault = 'fails' | 'unknown' | 'late';

/** Longer than a caller waits for the database. */
const LATE_MS = 4_500;

/** A TCP proxy before PostgreSQL that reads its wire, and disturbs commits. */
export interface FaultyCommits {
  /** The URL of the database, through the proxy. */
  url: string;
  /** How many commits have been asked for. */
  readonly commits: number;
  /** Disturbs the commit that is the `count`th from now on; 0 is the next one. */
  disturb(fault: CommitFault, count: number): void;
  /** True where the fault that was asked for has happened. */
  readonly isDone: boolean;
  close(): Promise<void>;
}

/** https://www.postgresql.org/docs/15/protocol-message-formats.html: a byte for the type, then the length of the rest. */
const HEAD_BYTES = 5;

export async function startFaultyCommits(databaseUrl: string): Promise<FaultyCommits> {
  const target = new URL(databaseUrl);
  const open = new Set<Socket>();
  let commits = 0;
  let planned: { fault: CommitFault; at: number } | undefined;

  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 5432), target.hostname);
    let isStarting = true;
    let isMuted = false;
    let rest: Buffer = Buffer.alloc(0);
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', () => {
        open.delete(socket);
        end();
      });
    }
    upstream.on('data', (chunk) => {
      // The answer to the commit: it is made, and nobody is told.
      if (isMuted) end();
      else client.write(chunk);
    });

    const forward = (message: Buffer) => {
      const fault = isCommit(message) ? nextFault() : undefined;
      if (fault === 'fails') return end();
      if (fault === 'unknown') isMuted = true;
      if (fault !== 'late') return void upstream.write(message);
      setTimeout(() => upstream.write(message), LATE_MS);
    };
    client.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk as Buffer]);
      for (;;) {
        // The first message of a connection has no type.
        const head = isStarting ? HEAD_BYTES - 1 : HEAD_BYTES;
        if (rest.length < head) return;
        const length = rest.readUInt32BE(head - 4) + head - 4;
        if (rest.length < length) return;
        forward(rest.subarray(0, length));
        rest = rest.subarray(length);
        isStarting = false;
      }
    });
  });
  const nextFault = (): CommitFault | undefined => {
    const at = commits++;
    if (planned?.at !== at) return undefined;
    const { fault } = planned;
    planned = undefined;
    return fault;
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    get commits() {
      return commits;
    },
    disturb(fault, count) {
      planned = { fault, at: commits + count };
    },
    get isDone() {
      return planned === undefined;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

/** True for the simple query `commit`. */
function isCommit(message: Buffer): boolean {
  return (
    message[0] === 0x51 &&
    message
      .toString('latin1', HEAD_BYTES, message.length - 1)
      .trim()
      .toLowerCase() === 'commit'
  );
}
