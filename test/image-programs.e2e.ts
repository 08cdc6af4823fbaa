import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort } from '../src/standalone/free-port.js';

let server: Server | undefined;

afterEach(async () => {
  if (!server) return;
  server.close();
  await once(server, 'close');
  server = undefined;
});

/** A loopback server that answers with these statuses, by method. */
async function serve(statuses: Record<string, number>): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = [];
  server = createServer((request: IncomingMessage, response) => {
    const signed = request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=key/');
    seen.push([request.method, request.url, ...(signed ? ['signed'] : [])].join(' '));
    response.writeHead(statuses[request.method ?? ''] ?? 405, { connection: 'close' }).end();
  }).listen(0, '127.0.0.1');
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
  const check = (port: number, args = ['PORT']) => run('health', { PORT: `${port}` }, args);

  it('is content with a process that answers, whatever else is wrong', async () => {
    const { port, seen } = await serve({ GET: 200 });
    expect(await check(port)).toEqual({ code: 0, output: '' });
    expect(seen).toEqual(['GET /health']);
  });

  it('is not with one that answers an error, with none, or without a port', async () => {
    const { port } = await serve({ GET: 500 });
    expect((await check(port)).code).toBe(1);
    expect((await check(await freePort())).code).toBe(1);
    expect(await check(port, ['WORKER_METRICS_PORT'])).toEqual({
      code: 1,
      output: expect.stringContaining('WORKER_METRICS_PORT is not set'),
    });
  });
});

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
