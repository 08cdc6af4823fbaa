import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LoadProcess, type LoadReport } from './faults/load.js';

const STILL_MS = 400;

let server: Server;
let load: LoadProcess;

beforeAll(async () => {
  server = createServer((_, answer) => answer.end('x')).listen(0, '127.0.0.1');
  load = await LoadProcess.start();
});

afterAll(() => {
  load.close();
  server.close();
  server.closeAllConnections();
});

async function reportOf(disturb: () => void | Promise<void>): Promise<LoadReport> {
  const { port } = server.address() as AddressInfo;
  load.begin({ url: `http://127.0.0.1:${port}`, perSecond: 100, keepAlive: true, token: '' });
  await sleep(STILL_MS);
  await disturb();
  await sleep(STILL_MS);
  return load.end();
}

describe('The times that honest clients report', () => {
  it('are of all answers of a server that stands still', async () => {
    const { answered, timed, longest } = await reportOf(() => {
      const until = performance.now() + STILL_MS;
      while (performance.now() < until);
    });
    expect(longest).toBeGreaterThan(0.9 * STILL_MS);
    expect(timed).toBeGreaterThan(answered / 2);
  });

  it('are not of answers while the machine stood still', async () => {
    const { answered, timed, longest } = await reportOf(async () => {
      // So it looks from within when a virtual machine gets no processor.
      process.kill(load.pid, 'SIGSTOP');
      await sleep(STILL_MS);
      process.kill(load.pid, 'SIGCONT');
    });
    expect(longest).toBeLessThan(STILL_MS);
    expect(timed).toBeGreaterThan(0);
    expect(timed).toBeLessThan(answered);
  });
});
