import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { S3Error } from './s3-error.js';
import { UNSIGNED_PAYLOAD } from './signature.js';

/**
 * What compatible stores do not have; whoever relies on it would store something else there. And
 * checksums: the signed hash of the body is one.
 */
const NOT_TAKEN =
  /^(transfer-encoding|content-encoding|content-md5|x-amz-(checksum-.*|trailer|sdk-checksum-algorithm|acl|tagging|decoded-content-length|server-side-encryption.*))$/;

/** Refuses what compatible stores refuse. Comes before the body is read. */
export function requirePlain(method: string, headers: IncomingHttpHeaders): void {
  const refused = Object.keys(headers).find((name) => NOT_TAKEN.test(name));
  if (refused !== undefined) throw new S3Error(501, 'NotImplemented', `${refused} is not taken.`);
  if (method === 'PUT' && headers['content-length'] === undefined) {
    throw new S3Error(411, 'MissingContentLength');
  }
}

/** Holds the body against its signed hash. */
export function verifyBody(body: Buffer, payloadHash: string): void {
  const sha256 = createHash('sha256').update(body).digest('hex');
  if (payloadHash !== UNSIGNED_PAYLOAD && payloadHash !== sha256) {
    throw new S3Error(400, 'XAmzContentSHA256Mismatch');
  }
}
