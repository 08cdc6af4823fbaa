import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Error } from './s3-error.js';

/**
 * AWS Signature Version 4, checked as S3 does.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

/** What a signature is made of, wherever the request carries it. */
interface Claim {
  credential: string;
  date: string;
  signedHeaders: string;
  signature: string;
  payloadHash: string;
  isQuery: boolean;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const MAX_SKEW_MS = 15 * 60_000;
const MAX_EXPIRES_SECONDS = 604_800;
const SHA256_HEX = /^[0-9a-f]{64}$/;

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/**
 * Checks who signed a request, what, for when, and for how long.
 *
 * @returns what the hash of its body has to be
 * @throws S3Error
 */
export function verifySignature(
  request: IncomingMessage,
  credentials: Credentials,
  region: string,
): string {
  const [path = '/', query = ''] = (request.url ?? '/').split('?');
  const claim = readClaim(request, new URLSearchParams(query));
  const [keyId, ...scope] = claim.credential.split('/');
  if (keyId !== credentials.accessKeyId) throw new S3Error(403, 'InvalidAccessKeyId');
  const expectedScope = [claim.date.slice(0, 8), region, 's3', 'aws4_request'];
  if (scope.join('/') !== expectedScope.join('/')) {
    throw new S3Error(
      400,
      'AuthorizationHeaderMalformed',
      `The scope must be ${expectedScope.join('/')}`,
    );
  }
  requireSigned(request, claim);
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    ...claim.signedHeaders.split(';').map((name) => `${name}:${headerOf(request, name)}`),
    '',
    claim.signedHeaders,
    claim.payloadHash,
  ].join('\n');
  const toSign = [ALGORITHM, claim.date, scope.join('/'), sha256(canonical)].join('\n');
  const expected = hmac(signingKey(credentials, scope), toSign).toString('hex');
  if (!isEqual(expected, claim.signature)) {
    throw new S3Error(403, 'SignatureDoesNotMatch', 'The signature is not that of the request.');
  }
  return claim.payloadHash;
}

function readClaim(request: IncomingMessage, query: URLSearchParams): Claim {
  const { authorization } = request.headers;
  const isQuery = query.has('X-Amz-Signature');
  if (isQuery && authorization !== undefined) {
    throw new S3Error(400, 'InvalidArgument', 'Only one auth mechanism allowed');
  }
  if (isQuery) return claimOfQuery(query);
  if (authorization === undefined) throw new S3Error(403, 'AccessDenied', 'Anonymous access');
  return claimOfHeader(request, authorization);
}

function claimOfHeader(request: IncomingMessage, authorization: string): Claim {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  const [, credential, signedHeaders, signature] = match ?? [];
  const date = headerOf(request, 'x-amz-date');
  if (!credential || !signedHeaders || !signature) {
    throw new S3Error(400, 'AuthorizationHeaderMalformed');
  }
  if (Math.abs(Date.now() - timeOf(date)) > MAX_SKEW_MS) {
    throw new S3Error(403, 'RequestTimeTooSkewed');
  }
  const payloadHash = headerOf(request, 'x-amz-content-sha256');
  if (payloadHash.startsWith('STREAMING-')) {
    throw new S3Error(501, 'NotImplemented', 'Chunked framing is not taken.');
  }
  if (!SHA256_HEX.test(payloadHash)) {
    throw new S3Error(400, 'InvalidRequest', 'The hash of the body is missing, or is none.');
  }
  return { credential, date, signedHeaders, signature, payloadHash, isQuery: false };
}

function claimOfQuery(query: URLSearchParams): Claim {
  const get = (name: string) => query.get(`X-Amz-${name}`) ?? '';
  const date = get('Date');
  const expires = Number(get('Expires'));
  if (get('Algorithm') !== ALGORITHM || !(expires >= 1 && expires <= MAX_EXPIRES_SECONDS)) {
    throw new S3Error(400, 'AuthorizationQueryParametersError');
  }
  const ageMs = Date.now() - timeOf(date);
  if (ageMs > expires * 1_000) throw new S3Error(403, 'AccessDenied', 'Request has expired');
  if (ageMs < -MAX_SKEW_MS) throw new S3Error(403, 'AccessDenied', 'Request is not yet valid');
  return {
    credential: get('Credential'),
    date,
    signedHeaders: get('SignedHeaders'),
    signature: get('Signature'),
    payloadHash: UNSIGNED_PAYLOAD,
    isQuery: true,
  };
}

/** The host, and everything that is S3's own, has to be signed: nobody may add to a request. */
function requireSigned(request: IncomingMessage, { signedHeaders }: Claim): void {
  const signed = new Set(signedHeaders.split(';'));
  const needed = Object.keys(request.headers).filter((name) => name.startsWith('x-amz-'));
  const missing = ['host', ...needed].filter((name) => !signed.has(name));
  if (missing.length > 0) {
    throw new S3Error(403, 'AccessDenied', `Headers that were not signed: ${missing.join(', ')}`);
  }
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  const values = Array.isArray(value) ? value : [value ?? ''];
  return values.map((each) => each.trim().replace(/ +/g, ' ')).join(',');
}

/** Sorted by name and value as they are encoded, without the signature itself. */
function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((pair) => pair !== '' && !pair.startsWith('X-Amz-Signature='))
    .map((pair) => {
      const [name = '', value = ''] = pair.split('=');
      return `${encode(decodeURIComponent(name))}=${encode(decodeURIComponent(value))}`;
    })
    .sort()
    .join('&');
}

function encode(value: string): string {
  return encodeURIComponent(value).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** @param date as `20260101T000000Z` */
function timeOf(date: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (!match) throw new S3Error(403, 'AccessDenied', 'The date is missing, or is none.');
  const [, year, month, day, hour, minute, second] = match;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function signingKey({ secretAccessKey }: Credentials, scope: string[]): Buffer {
  return scope.reduce<Buffer>(hmac, Buffer.from(`AWS4${secretAccessKey}`));
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function sha256(data: string): string {
  return createHash('sha256').update(data).digest('hex');
}

function isEqual(expected: string, given: string): boolean {
  return (
    given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected))
  );
}
