import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../src/standalone/free-port.js';
import { ProductProcess } from './product-process.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;
let worker: ProductProcess | undefined;
const others: Server[] = [];

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterEach(async () => {
  await worker?.stop();
  worker = undefined;
  for (const server of others.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

afterAll(() => app.close());

/** The exit code of what docker/Dockerfile has the engine run, in a container with these variables. */
async function check(variables: { PORT: number; WORKER_METRICS_PORT: number }): Promise<number> {
  const env = Object.entries(variables).map(([name, port]) => [name, String(port)]);
  const child = spawn(process.execPath, ['docker/image/health.ts'], {
    env: { ...process.env, ...(Object.fromEntries(env) as Record<string, string>) },
    stdio: 'ignore',
  });
  const [code] = (await once(child, 'exit')) as [number];
  return code;
}

/** A server that is no product of ours. */
async function listen(answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  others.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('the health check of the image', () => {
  it('finds a worker alone', async () => {
    const WORKER_METRICS_PORT = await freePort();
    worker = await ProductProcess.start('worker', {
      ...app.variables,
      WORKER_METRICS_PORT: `${WORKER_METRICS_PORT}`,
    });
    expect(await check({ PORT: await freePort(), WORKER_METRICS_PORT })).toBe(0);
  });

  it('finds an API alone', async () => {
    const PORT = Number(new URL(app.url).port);
    expect(await check({ PORT, WORKER_METRICS_PORT: await freePort() })).toBe(0);
  });

  it('fails when neither answers', async () => {
    const [PORT, WORKER_METRICS_PORT] = [await freePort(), await freePort()];
    expect(await check({ PORT, WORKER_METRICS_PORT })).toBe(1);
  });

  it('fails in time when one hangs, and the other answers anything but 200', async () => {
    const PORT = await listen(() => undefined);
    const WORKER_METRICS_PORT = await listen((_request, response) => {
      response.writeHead(404).end();
    });
    const startedAt = performance.now();
    expect(await check({ PORT, WORKER_METRICS_PORT })).toBe(1);
    // The engine gives it three seconds, of which Node takes some to start.
    expect(performance.now() - startedAt).toBeGreaterThan(2_000);
  });
});
