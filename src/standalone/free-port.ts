import { type AddressInfo, createServer } from 'node:net';

export const LOOPBACK = '127.0.0.1';

/**
 * Listens for a moment, to see whether one could.
 *
 * @param port 0 for any free one
 * @returns the port
 * @throws the system's error, such as EADDRINUSE, when it cannot be had
 */
export function tryPort(port: number, host: string = LOOPBACK): Promise<number> {
  return new Promise((free, taken) => {
    const server = createServer();
    server.once('error', taken);
    server.listen({ port, host, exclusive: true }, () => {
      const { port: given } = server.address() as AddressInfo;
      server.close(() => {
        free(given);
      });
    });
  });
}

/** A free port, on loopback by default: the preferred one where that is possible. */
export async function freePort(preferred = 0, host?: string): Promise<number> {
  try {
    return await tryPort(preferred, host);
  } catch {
    return tryPort(0, host);
  }
}
