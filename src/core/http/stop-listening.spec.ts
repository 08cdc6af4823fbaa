import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { describeWhere } from '../../../test/programs.js';
import { stopListening } from './stop-listening.js';

const PATIENCE_MS = 5_000;

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

for (const [host, can] of [
  ['127.0.0.1', true],
  ['0.0.0.0', true],
  ['::1', hasIpv6],
] as const) {
  const missing = { needs: 'ipv6', reason: 'this machine has no ::1' };
  describeWhere(can, missing, `a server that stops listening at ${host}`, () => {
    describeStop(host);
  });
}

/** What a server does that stops listening there. */
function describeStop(host: string): void {
  let server: Server;
  const taken: Socket[] = [];

  beforeEach(async () => {
    server = createServer((socket) => {
      taken.push(socket);
      socket.on('error', () => undefined).end('taken');
    });
    server.listen(0, host);
    await once(server, 'listening');
  });

  afterEach(() => {
    for (const socket of taken.splice(0)) socket.destroy();
    server.close();
  });

  /** What becomes of a new connection. */
  function knock(): Promise<string> {
    const { port } = server.address() as AddressInfo;
    return new Promise((resolve) => {
      connect({ port, host: host === '0.0.0.0' ? '127.0.0.1' : host })
        .on('data', (text) => {
          resolve(String(text));
        })
        .on('error', ({ code }: NodeJS.ErrnoException) => {
          resolve(String(code));
        });
    });
  }

  it('takes all who wait, and resets nobody who comes meanwhile', async () => {
    const waiting = Array.from({ length: 50 }, knock);
    // By the next tick the kernel has let them in, and nobody has taken them.
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
    expect(taken).toHaveLength(0);
    const late: Promise<string>[] = [];
    const stopping = stopListening(server, PATIENCE_MS);
    while (server.listening) {
      // A few in most turns, and nobody now and then.
      if (late.length % 20 !== 0 || Math.random() < 0.5) late.push(knock());
      await nextTurn();
    }
    await stopping;
    expect(server.listening).toBe(false);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['taken']));
    const outcomes = new Set(await Promise.all(late));
    expect([...outcomes].filter((each) => each !== 'taken' && each !== 'ECONNREFUSED')).toEqual([]);
  });
}
