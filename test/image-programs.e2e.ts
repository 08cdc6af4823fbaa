import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort } from './free-port.js';
import { TestingApp } from './testing-app.js';

/** Instead of a status: the answer never comes. */
const HANGS = 0;

const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, 'close');
  }
});

/** A loopback server that answers with these statuses, by method. */
async function serve(statuses: Record<string, number>): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const signed = request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=key/');
    seen.push([request.method, request.url, ...(signed ? ['signed'] : [])].join(' '));
    const status = statuses[request.method ?? ''] ?? 405;
    if (status !== HANGS) response.writeHead(status, { connection: 'close' }).end();
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, seen };
}

/** Runs a program of the image. Nothing else of the machine gets in. */
function run(program: string, env: Record<string, string>, args: string[] = []) {
  return new Promise<{ code: number; output: string }>((resolve) => {
    const command = [`docker/image/${program}.ts`, ...args];
    execFile(process.execPath, command, { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
  });
}

describe('the health check of the image', () => {
  /** In a container in which nothing else listens. */
  const check = async (ports: { PORT?: number; WORKER_METRICS_PORT?: number }) => {
    const { PORT = await freePort(), WORKER_METRICS_PORT = await freePort() } = ports;
    return run('health', { PORT: `${PORT}`, WORKER_METRICS_PORT: `${WORKER_METRICS_PORT}` });
  };

  it.each(['PORT', 'WORKER_METRICS_PORT'])(
    'is content with a process that answers at %s, whatever else is wrong',
    async (name) => {
      const { port, seen } = await serve({ GET: 200 });
      expect(await check({ [name]: port })).toEqual({ code: 0, output: '' });
      expect(seen).toEqual(['GET /health']);
    },
  );

  it('finds a worker that is alone', async () => {
    const app = await TestingApp.start({ worker: false });
    const port = await freePort();
    const worker = await app.startWorker({ WORKER_METRICS_PORT: `${port}` });
    try {
      expect((await check({ WORKER_METRICS_PORT: port })).code).toBe(0);
      await worker.stop();
      expect((await check({ WORKER_METRICS_PORT: port })).code).toBe(1);
    } finally {
      await app.close();
    }
  });

  it('is not with one that answers an error, nor with none', async () => {
    const { port } = await serve({ GET: 500 });
    expect((await check({ PORT: port })).code).toBe(1);
    expect((await check({})).code).toBe(1);
  });

  it('is not with one that hangs, and does not wait for it where the other answers', async () => {
    const hanging = await serve({ GET: HANGS });
    expect((await check({ PORT: hanging.port })).code).toBe(1);
    const { port } = await serve({ GET: 200 });
    const both = { PORT: hanging.port, WORKER_METRICS_PORT: port };
    expect((await check(both)).code).toBe(0);
    const wrong = await serve({ GET: 404 });
    expect((await check({ ...both, WORKER_METRICS_PORT: wrong.port })).code).toBe(1);
  });

  it('ends in the time that the image gives it, when one hangs', async () => {
    const [, seconds] =
      /^HEALTHCHECK .*--timeout=(\d+)s/m.exec(await readFile('docker/Dockerfile', 'utf8')) ?? [];
    const { port } = await serve({ GET: HANGS });
    const startOfNode = await fastest(() => promisify(execFile)(process.execPath, ['--eval', '']));
    const limitMs = Number(seconds) * 1_000 + startOfNode;
    expect(await fastest(() => check({ PORT: port }), limitMs)).toBeLessThan(limitMs);
  });
});

/** What something takes at the least, in milliseconds: up to three tries, until one is fast enough. */
async function fastest(work: () => Promise<unknown>, enoughMs = 0): Promise<number> {
  let bestMs = Infinity;
  for (let tries = 0; tries < 3 && bestMs >= enoughMs; tries += 1) {
    const startedAt = performance.now();
    await work();
    bestMs = Math.min(bestMs, performance.now() - startedAt);
  }
  return bestMs;
}

describe('making the bucket', () => {
  const make = (port: number, changes: Record<string, string> = {}) =>
    run('make-bucket', {
      S3_ENDPOINT: `http://127.0.0.1:${port}`,
      S3_REGION: 'us-east-1',
      S3_BUCKET: 'pictures',
      S3_ACCESS_KEY_ID: 'key',
      S3_SECRET_ACCESS_KEY: 'hunter2',
      S3_FORCE_PATH_STYLE: 'true',
      ...changes,
    });

  it('makes one where there is none', async () => {
    const { port, seen } = await serve({ HEAD: 404, PUT: 200 });
    expect(await make(port)).toEqual({ code: 0, output: 'The bucket pictures was made.\n' });
    expect(seen).toEqual([
      expect.stringMatching(/^HEAD \/pictures\/? signed$/),
      expect.stringMatching(/^PUT \/pictures\/? signed$/),
    ]);
  });

  it('leaves one alone that is there', async () => {
    const { port, seen } = await serve({ HEAD: 200 });
    expect(await make(port)).toEqual({ code: 0, output: 'The bucket pictures is there.\n' });
    expect(seen).toHaveLength(1);
  });

  it('fails where it may not look, or is told too little, and shows no secret', async () => {
    const { port, seen } = await serve({ HEAD: 403 });
    const refused = await make(port);
    expect([refused.code, seen.length]).toEqual([1, 1]);
    const incomplete = await make(port, { S3_BUCKET: '' });
    expect(incomplete).toEqual({
      code: 1,
      output: expect.stringContaining('S3_BUCKET is not set'),
    });
    expect(refused.output + incomplete.output).not.toContain('hunter2');
  });
});
