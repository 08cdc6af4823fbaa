import type { Server, Socket } from 'node:net';

/** What stands behind a socket or a server, for which Node has no public name. */
interface SocketHandle {
  fd: number;
  /** These two tell bytes; Node's documented counters move by whole chunks, however large. */
  bytesWritten: number;
  writeQueueSize: number;
  listen: (backlog: number) => number;
}

const TYPES: Readonly<Record<keyof SocketHandle, string>> = {
  fd: 'number',
  bytesWritten: 'number',
  writeQueueSize: 'number',
  listen: 'function',
};

/**
 * @returns undefined when the socket is closed; other versions of Node may lack what is asked of it,
 * see {@link missingParts}
 */
export function handleOf(socket: Socket | Server): Partial<SocketHandle> | undefined {
  return (socket as unknown as { _handle?: Partial<SocketHandle> | null })._handle ?? undefined;
}

/**
 * What we use of such handles and this version of Node does not have.
 *
 * @param server one that listens: its connections have handles of the same class
 */
export function missingParts(server: Server): string[] {
  const handle: Readonly<Record<string, unknown>> = handleOf(server) ?? {};
  return Object.entries(TYPES).flatMap(([name, type]) =>
    typeof handle[name] === type ? [] : [name],
  );
}
