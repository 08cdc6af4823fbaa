import type { Call } from './call.js';
import { sendXml, text, xml } from './s3-error.js';

/** @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
export function listObjects({ bucket, query, response, pageSize }: Call): void {
  const token = query.get('continuation-token');
  const after = token === null ? query.get('start-after') : tokenToKey(token);
  const left = bucket
    .keys(query.get('prefix') ?? '')
    .filter((key) => after === null || key > after);
  const page = left.slice(0, Math.min(pageSize, Number(query.get('max-keys') ?? 1_000)));
  const last = page.at(-1);
  const isTruncated = page.length < left.length;
  const contents = page.map((key) => {
    const { body, etag, lastModified } = bucket.get(key);
    return xml(
      'Contents',
      xml('Key', text(key)),
      xml('LastModified', lastModified.toISOString()),
      xml('ETag', text(etag)),
      xml('Size', text(body.length)),
    );
  });
  const next =
    isTruncated && last !== undefined ? [xml('NextContinuationToken', keyToToken(last))] : [];
  const counts = [xml('KeyCount', text(page.length)), xml('IsTruncated', String(isTruncated))];
  sendXml(response, 200, xml('ListBucketResult', ...counts, ...next, ...contents));
}

/** @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html */
export function listUploads({ bucket, query, response, pageSize }: Call): void {
  const prefix = query.get('prefix') ?? '';
  const marker = `${query.get('key-marker') ?? ''}\n${query.get('upload-id-marker') ?? ''}`;
  const left = [...bucket.uploads.values()]
    .map((upload) => ({ ...upload, place: `${upload.key}\n${upload.id}` }))
    .filter(({ key, place }) => key.startsWith(prefix) && place > marker)
    .sort((a, b) => (a.place < b.place ? -1 : 1));
  const page = left.slice(0, pageSize);
  const last = page.at(-1);
  const isTruncated = page.length < left.length;
  const uploads = page.map(({ key, id, initiated }) =>
    xml(
      'Upload',
      xml('Key', text(key)),
      xml('UploadId', id),
      xml('Initiated', initiated.toISOString()),
    ),
  );
  const next =
    isTruncated && last
      ? [xml('NextKeyMarker', text(last.key)), xml('NextUploadIdMarker', last.id)]
      : [];
  const truncated = xml('IsTruncated', String(isTruncated));
  sendXml(response, 200, xml('ListMultipartUploadsResult', truncated, ...next, ...uploads));
}

/** Opaque to clients, as S3's own are. */
function keyToToken(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function tokenToKey(token: string): string {
  return String(Buffer.from(token, 'base64url'));
}
