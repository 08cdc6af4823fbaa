import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../test/eventually.js';
import { S3Server } from '../../../test/s3/s3-server.js';
import { offlineEnv } from '../../core/env.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { createS3Client } from './s3-client.js';
import { S3Uploads } from './s3-upload.js';

const MEBIBYTE = 1024 * 1024;

let server: S3Server;
let dataDir: string;
let client: ReturnType<typeof createS3Client>;
let uploads: S3Uploads;

beforeAll(async () => {
  server = await S3Server.start();
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-parts-'));
  const variables = { ...server.variables, DATA_DIR: dataDir, UPLOAD_MEMORY_MB: '16' };
  const env = offlineEnv(variables);
  client = createS3Client(env);
  uploads = new S3Uploads(client, env);
});

afterEach(() => {
  server.faults.clear();
});

afterAll(async () => {
  client.destroy();
  await server.close();
  await rm(dataDir, { recursive: true });
});

function send(stream: Readable, signal?: AbortSignal): Promise<number> {
  const Key = `images/a/1-${randomBytes(8).toString('hex')}/large.webp`;
  return uploads.send({ Bucket: server.bucketName, Key, stream, contentType: 'x/y', signal });
}

function sendBytes(bytes: number): Promise<number> {
  return send(Readable.from([randomBytes(bytes)]));
}

describe('uploads on their way to the store', () => {
  it('are in memory only so many at once, and all arrive', async () => {
    server.faults.add({ on: 'PutObject', delayMs: 300, times: 6 });
    const sent = Promise.all(Array.from({ length: 6 }, () => sendBytes(4 * MEBIBYTE)));
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, server.openRequests);
    }, 10);
    expect(await sent).toEqual(Array.from({ length: 6 }, () => 4 * MEBIBYTE));
    clearInterval(watch);
    expect(most).toBe(2);
  });

  it('wait in a file without a name, and ask nothing of the store before they are whole', async () => {
    const stream = new PassThrough();
    const asked = server.asked.length;
    const sent = send(stream);
    stream.write(randomBytes(6 * MEBIBYTE));
    await eventually(
      async () => stream.readableLength,
      (bytes) => bytes === 0,
    );
    expect(await readdir(join(dataDir, 'work'))).toEqual([]);
    expect(server.asked).toHaveLength(asked);
    stream.end('x');
    expect(await sent).toBe(6 * MEBIBYTE + 1);
    expect(server.asked.slice(asked).map(({ operation }) => operation)).toEqual([
      'CreateMultipartUpload',
      'UploadPart',
      'UploadPart',
      'CompleteMultipartUpload',
    ]);
  });

  it('have parts of one size but the last, and one when the file just fills it', async () => {
    const asked = server.asked.length;
    await sendBytes(5 * MEBIBYTE);
    await sendBytes(10 * MEBIBYTE);
    const sizes = server.asked
      .slice(asked)
      .filter(({ operation }) => operation === 'PutObject' || operation === 'UploadPart')
      .map(({ headers }) => Number(headers['content-length']) / MEBIBYTE);
    expect(sizes).toEqual([5, 5, 5]);
  });

  it('are given up when no memory becomes free, while those that are sent go on', async () => {
    server.faults.add({ on: 'PutObject', delayMs: 7_000, times: 1 });
    const first = sendBytes(4 * MEBIBYTE);
    await eventually(
      async () => server.openRequests,
      (open) => open === 1,
    );
    const late = sendBytes(5 * MEBIBYTE);
    const controller = new AbortController();
    const gone = send(Readable.from([randomBytes(5 * MEBIBYTE)]), controller.signal);
    setTimeout(() => {
      controller.abort();
    }, 1_000);
    await expect(gone).rejects.toMatchObject({ name: 'AbortError' });
    await expect(late).rejects.toThrow(Unavailable);
    expect(await first).toBe(4 * MEBIBYTE);
    expect(await sendBytes(5 * MEBIBYTE)).toBe(5 * MEBIBYTE);
  });
});
