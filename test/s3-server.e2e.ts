import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { S3Server } from './s3/s3-server.js';

/** The loopback store itself: one that takes anything would prove nothing of who uses it. */

const MEBIBYTE = 1024 * 1024;

let server: S3Server;

beforeAll(async () => {
  server = await S3Server.start();
});
afterEach(() => {
  server.refused.length = 0;
});
afterAll(() => server.close());

function client(settings: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint: server.url,
    region: server.region,
    forcePathStyle: true,
    credentials: server.credentials,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    maxAttempts: 1,
    ...settings,
  });
}

/** Lets something happen to each request after it was signed. */
function meddling(
  meddle: (sent: { headers: Record<string, string>; body: unknown; path: string }) => void,
) {
  const sender = client();
  sender.middlewareStack.add(
    (next) => async (args) => {
      meddle(args.request as never);
      return next(args);
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  return sender;
}

const put = { Bucket: 'pictures', Key: 'a/b.webp', Body: Buffer.from('content') };

describe('the loopback S3 server', () => {
  it('takes what is signed and whole', async () => {
    await client().send(new PutObjectCommand({ ...put, ContentType: 'image/webp' }));
    expect(String(server.bucket.get(put.Key).body)).toBe('content');
  });

  it.each([
    [
      'a wrong secret',
      'SignatureDoesNotMatch',
      { credentials: { accessKeyId: 'AKIALOOPBACK', secretAccessKey: 'other' } },
    ],
    [
      'an unknown key',
      'InvalidAccessKeyId',
      { credentials: { accessKeyId: 'x', secretAccessKey: 'x' } },
    ],
    ['another region', 'AuthorizationHeaderMalformed', { region: 'eu-central-1' }],
    ['a clock that is wrong', 'RequestTimeTooSkewed', { systemClockOffset: 3_600_000 }],
    ['checksums in a trailer', 'NotImplemented', { requestChecksumCalculation: 'WHEN_SUPPORTED' }],
  ] as const)('refuses %s', async (_name, code, settings) => {
    const sent = client(settings).send(new PutObjectCommand({ ...put, Key: 'refused.webp' }));
    await expect(sent).rejects.toMatchObject({ name: code });
    expect(server.bucket.objects.has('refused.webp')).toBe(false);
  });

  it.each([
    ['body', 'XAmzContentSHA256Mismatch', (sent: any) => void (sent.body = Buffer.from('CONTENT'))],
    ['path', 'SignatureDoesNotMatch', (sent: any) => void (sent.path = '/pictures/other.webp')],
    [
      'type',
      'SignatureDoesNotMatch',
      (sent: any) => void (sent.headers['content-type'] = 'text/html'),
    ],
    [
      'hash',
      'SignatureDoesNotMatch',
      (sent: any) => void (sent.headers['x-amz-content-sha256'] = '0'.repeat(64)),
    ],
    [
      'hash, to none',
      'InvalidRequest',
      (sent: any) => void (sent.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'),
    ],
    [
      'framing',
      'NotImplemented',
      (sent: any) =>
        void (sent.headers['x-amz-content-sha256'] = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'),
    ],
    ['metadata', 'AccessDenied', (sent: any) => void (sent.headers['x-amz-meta-added'] = 'x')],
  ])('refuses a request whose %s was changed on the way', async (_name, code, meddle) => {
    const sent = meddling(meddle).send(
      new PutObjectCommand({ ...put, Key: 'changed.webp', ContentType: 'image/webp' }),
    );
    await expect(sent).rejects.toMatchObject({ name: code });
    expect(server.bucket.objects.has('changed.webp')).toBe(false);
  });

  it.each([
    { ContentMD5: createHash('md5').update(put.Body).digest('base64') },
    { ChecksumSHA256: createHash('sha256').update(put.Body).digest('base64') },
  ])('takes no other checksum than the hash that is signed: %j', async (checksum) => {
    const sent = client().send(new PutObjectCommand({ ...put, ...checksum, Key: 'refused.webp' }));
    await expect(sent).rejects.toMatchObject({ name: 'NotImplemented' });
    expect(server.bucket.objects.has('refused.webp')).toBe(false);
  });

  it('stores nothing of a body that ends before its length', async () => {
    const url = new URL(server.url);
    await new Promise<void>((resolve) => {
      const sender = meddling(({ headers }) => {
        const options = { port: url.port, method: 'PUT', path: '/pictures/short.webp', headers };
        const raw = request({ host: '127.0.0.1', ...options });
        raw.on('error', () => undefined).once('close', resolve);
        raw.write('cont', () => raw.destroy());
        throw new Error('sent by hand');
      });
      sender.send(new PutObjectCommand({ ...put, Key: 'short.webp' })).catch(() => undefined);
    });
    expect(server.bucket.objects.has('short.webp')).toBe(false);
  });

  it.each([
    ['of one size but the last', [5, 5, 1], undefined],
    ['of different sizes', [6, 5, 1], 'InvalidPart'],
    ['that grow', [5, 6], 'InvalidPart'],
    ['that are too small', [1, 1], 'EntityTooSmall'],
  ])('puts parts together as R2 does: those %s', async (_name, sizes, code) => {
    const sender = client();
    const place = { Bucket: put.Bucket, Key: 'parts.webp' };
    const { UploadId } = await sender.send(new CreateMultipartUploadCommand(place));
    const Parts = [];
    for (const [index, size] of sizes.entries()) {
      const PartNumber = index + 1;
      const Body = Buffer.alloc(size * MEBIBYTE, index);
      const part = new UploadPartCommand({ ...place, UploadId, PartNumber, Body });
      Parts.push({ PartNumber, ETag: (await sender.send(part)).ETag });
    }
    const MultipartUpload = { Parts };
    const done = sender.send(
      new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload }),
    );
    if (code === undefined) {
      await done;
      expect(server.bucket.get(place.Key).body).toHaveLength(11 * MEBIBYTE);
    } else {
      await expect(done).rejects.toMatchObject({ name: code });
    }
  });

  it('is closed to who does not sign, and to who signs twice', async () => {
    const url = `${server.url}/pictures/a/b.webp`;
    expect((await fetch(url)).status).toBe(403);
    const twice = await fetch(`${url}?X-Amz-Signature=x`, {
      headers: { authorization: 'Bearer x' },
    });
    expect(await twice.text()).toContain('Only one auth mechanism allowed');
  });
});
