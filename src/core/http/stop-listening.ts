import { type AddressInfo, connect, Server, type Socket } from 'node:net';
import { nextTick } from 'node:process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inodeOf, readKernelSocketsNow } from './kernel-sockets.js';
import { handleOf } from './socket-handle.js';

/**
 * Closes a listening socket without losing a connection that the kernel has let in: such a one is
 * reset when it was not taken yet. So the line of those who wait is made as short as it can be, one,
 * and we stand in it ourselves. From then on the kernel overlooks whoever knocks, who knocks again
 * after a second and is refused; and when nobody but us is in the line, it can be closed.
 *
 * Where the kernel does not tell who waits, outside Linux, it is closed after a turn of the event
 * loop that found nobody. Connections that are open stay so.
 *
 * @param patienceMs how long to try, in milliseconds
 */
export async function stopListening(server: Server, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  let taken = 0;
  const count = (): void => {
    taken += 1;
  };
  server.on('connection', count);
  // listen(2) on a socket that listens sets only how many may wait: with 0 it is one.
  handleOf(server)?.listen?.(0);
  for (let isOver = false; !isOver;) {
    const before = taken;
    await nextTurn();
    if (taken === before) isOver = await closeWhenNobodyWaits(server);
    if (!isOver && performance.now() > deadline) isOver = close(server);
  }
  server.off('connection', count);
}

/** @returns whether it did */
async function closeWhenNobodyWaits(server: Server): Promise<boolean> {
  const inLine = connectTo(server);
  try {
    // Node connects in the next tick. After that nothing is taken before this function is done.
    await new Promise<void>((resolve) => {
      nextTick(resolve);
    });
    const sockets = readKernelSocketsNow();
    const line = sockets?.get(inodeOf(server) ?? 0);
    const own = sockets?.get(inodeOf(inLine) ?? 0);
    // Nobody tells: the turn that found nobody has to do.
    if (!sockets || !line) return close(server);
    return line.waiting === Number(own?.isEstablished ?? false) && close(server);
  } finally {
    inLine.destroy();
  }
}

function connectTo(server: Server): Socket {
  const { address, port } = server.address() as AddressInfo;
  const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  const socket = connect({ host, port });
  socket.on('error', () => undefined);
  return socket;
}

/** Not as an HTTP server does it, which would also close idle connections. */
function close(server: Server): true {
  Server.prototype.close.call(server);
  return true;
}
