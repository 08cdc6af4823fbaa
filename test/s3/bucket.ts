import { createHash, randomUUID } from 'node:crypto';
import { S3Error } from './s3-error.js';

/** @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

/** What an object is served with. */
export interface ObjectHeaders {
  'content-type'?: string;
  'cache-control'?: string;
  'content-disposition'?: string;
}

export interface BucketObject {
  body: Buffer;
  headers: ObjectHeaders;
  /** With its quotes. */
  etag: string;
  lastModified: Date;
}

export interface MultipartUpload {
  id: string;
  key: string;
  headers: ObjectHeaders;
  initiated: Date;
  parts: Map<number, { body: Buffer; etag: string }>;
}

/** What a bucket holds: objects, and uploads that are not complete. */
export class Bucket {
  readonly objects = new Map<string, BucketObject>();
  readonly uploads = new Map<string, MultipartUpload>();

  put(key: string, body: Buffer, headers: ObjectHeaders, etag = etagOf(body)): BucketObject {
    // Dates go over the wire in whole seconds.
    const lastModified = new Date(Math.floor(Date.now() / 1_000) * 1_000);
    const object = { body, headers, etag, lastModified };
    this.objects.set(key, object);
    return object;
  }

  get(key: string): BucketObject {
    const object = this.objects.get(key);
    if (!object) throw new S3Error(404, 'NoSuchKey', 'The specified key does not exist.');
    return object;
  }

  /** Keys in the order of their UTF-8 bytes. */
  keys(prefix: string): string[] {
    return [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  begin(key: string, headers: ObjectHeaders): MultipartUpload {
    const upload = { id: randomUUID(), key, headers, initiated: new Date(), parts: new Map() };
    this.uploads.set(upload.id, upload);
    return upload;
  }

  upload(key: string, id: string): MultipartUpload {
    const upload = this.uploads.get(id);
    if (upload?.key !== key) throw new S3Error(404, 'NoSuchUpload');
    return upload;
  }

  putPart(upload: MultipartUpload, number: number, body: Buffer): string {
    if (!(number >= 1 && number <= MAX_PARTS)) throw new S3Error(400, 'InvalidArgument');
    const etag = etagOf(body);
    upload.parts.set(number, { body, etag });
    return etag;
  }

  /** @param asked the parts that make the object, in their order */
  complete(upload: MultipartUpload, asked: { number: number; etag: string }[]): BucketObject {
    const parts = asked.map(({ number, etag }, index) => {
      const part = upload.parts.get(number);
      if (part?.etag !== etag) throw new S3Error(400, 'InvalidPart');
      if (number <= (asked[index - 1]?.number ?? 0)) throw new S3Error(400, 'InvalidPartOrder');
      return part;
    });
    requireEqualSizes(parts.map(({ body }) => body.length));
    this.uploads.delete(upload.id);
    const digests = parts.map(({ etag }) => Buffer.from(etag.slice(1, -1), 'hex'));
    const etag = `"${md5(Buffer.concat(digests))}-${parts.length}"`;
    return this.put(upload.key, Buffer.concat(parts.map(({ body }) => body)), upload.headers, etag);
  }
}

/** As R2 wants it: all but the last are of one size, and none of those is too small. */
function requireEqualSizes(sizes: number[]): void {
  const [first = 0, ...others] = sizes.slice(0, -1);
  if (sizes.length === 0) throw new S3Error(400, 'MalformedXML', 'There are no parts.');
  if (sizes.length > 1 && first < MIN_PART_BYTES) throw new S3Error(400, 'EntityTooSmall');
  if (others.some((size) => size !== first) || (first > 0 && (sizes.at(-1) ?? 0) > first)) {
    throw new S3Error(400, 'InvalidPart', 'All parts but the last must have the same length.');
  }
}

function etagOf(body: Buffer): string {
  return `"${md5(body)}"`;
}

function md5(data: Buffer): string {
  return createHash('md5').update(data).digest('hex');
}
