import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { crc32 } from 'node:zlib';
import { S3Error } from './s3-error.js';
import { UNSIGNED_PAYLOAD } from './signature.js';

const CHECKSUMS: Record<string, (body: Buffer) => string> = {
  'content-md5': (body) => createHash('md5').update(body).digest('base64'),
  'x-amz-checksum-sha1': (body) => createHash('sha1').update(body).digest('base64'),
  'x-amz-checksum-sha256': (body) => createHash('sha256').update(body).digest('base64'),
  'x-amz-checksum-crc32': (body) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(crc32(body));
    return bytes.toString('base64');
  },
};

/** What compatible stores do not have; whoever relies on it would store something else there. */
const NOT_TAKEN =
  /^(transfer-encoding|content-encoding|x-amz-(trailer|sdk-checksum-algorithm|acl|tagging|decoded-content-length|server-side-encryption.*))$/;

/** Refuses what compatible stores refuse. Comes before the body is read. */
export function requirePlain(method: string, headers: IncomingHttpHeaders): void {
  const refused = Object.keys(headers).find((name) => NOT_TAKEN.test(name));
  if (refused !== undefined) throw new S3Error(501, 'NotImplemented', `${refused} is not taken.`);
  if (method === 'PUT' && headers['content-length'] === undefined) {
    throw new S3Error(411, 'MissingContentLength');
  }
}

/** Holds the body against its signed hash, and against every checksum that came with it. */
export function verifyBody(body: Buffer, payloadHash: string, headers: IncomingHttpHeaders): void {
  const sha256 = createHash('sha256').update(body).digest('hex');
  if (payloadHash !== UNSIGNED_PAYLOAD && payloadHash !== sha256) {
    throw new S3Error(400, 'XAmzContentSHA256Mismatch');
  }
  for (const [name, value] of Object.entries(headers)) {
    if (name !== 'content-md5' && !name.startsWith('x-amz-checksum-')) continue;
    const expected = CHECKSUMS[name]?.(body);
    if (expected === undefined) throw new S3Error(501, 'NotImplemented', `${name} is not taken.`);
    if (value !== expected) throw new S3Error(400, 'BadDigest');
  }
}
