import type { IncomingMessage } from 'node:http';
import type { BucketObject, ObjectHeaders } from './bucket.js';
import type { Call } from './call.js';
import { type Operation, sendBody } from './faults.js';
import { listObjects, listUploads } from './lists.js';
import { S3Error, sendXml, text, xml } from './s3-error.js';

/** What each operation does. @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html */
export const OPERATIONS: Record<Operation, (call: Call) => void> = {
  HeadBucket: ({ response }) => response.writeHead(200).end(),
  PutObject,
  GetObject,
  HeadObject,
  DeleteObject: ({ bucket, key, response }) => {
    bucket.objects.delete(key);
    response.writeHead(204).end();
  },
  ListObjectsV2: listObjects,
  ListMultipartUploads: listUploads,
  CreateMultipartUpload: (call) => {
    const { id } = call.bucket.begin(call.key, objectHeaders(call.request));
    answer(call, 'InitiateMultipartUploadResult', xml('UploadId', id));
  },
  UploadPart: ({ bucket, key, query, body, response }) => {
    const upload = bucket.upload(key, query.get('uploadId') ?? '');
    const etag = bucket.putPart(upload, Number(query.get('partNumber')), body);
    response.writeHead(200, { etag }).end();
  },
  CompleteMultipartUpload: (call) => {
    const upload = call.bucket.upload(call.key, call.query.get('uploadId') ?? '');
    const parts = [...String(call.body).matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
      number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
      etag: (/<ETag>(.*?)</.exec(part)?.[1] ?? '').replaceAll('&quot;', '"'),
    }));
    const { etag } = call.bucket.complete(upload, parts);
    answer(call, 'CompleteMultipartUploadResult', xml('Key', call.key), xml('ETag', text(etag)));
  },
  AbortMultipartUpload: ({ bucket, key, query, response }) => {
    bucket.uploads.delete(bucket.upload(key, query.get('uploadId') ?? '').id);
    response.writeHead(204).end();
  },
};

/** Which operation a request asks for. */
export function operationOf(method: string, key: string, query: URLSearchParams): Operation {
  const of: Record<string, Operation | undefined> =
    key === ''
      ? {
          HEAD: 'HeadBucket',
          GET: query.has('uploads') ? 'ListMultipartUploads' : 'ListObjectsV2',
        }
      : query.has('uploadId')
        ? {
            PUT: 'UploadPart',
            POST: 'CompleteMultipartUpload',
            DELETE: 'AbortMultipartUpload',
          }
        : {
            HEAD: 'HeadObject',
            GET: 'GetObject',
            PUT: 'PutObject',
            DELETE: 'DeleteObject',
            ...(query.has('uploads') && { POST: 'CreateMultipartUpload' }),
          };
  const operation = of[method];
  if (!operation) throw new S3Error(501, 'NotImplemented');
  return operation;
}

function answer({ response }: Call, name: string, ...content: string[]): void {
  sendXml(response, 200, xml(name, ...content));
}

function PutObject({ bucket, key, body, request, response }: Call): void {
  const { etag } = bucket.put(key, body, objectHeaders(request));
  response.writeHead(200, { etag }).end();
}

function HeadObject(call: Call): void {
  const object = call.bucket.get(call.key);
  requireMatch(call, object);
  call.response.writeHead(200, {
    ...describe(call, object),
    'content-length': object.body.length,
  });
  call.response.end();
}

function GetObject(call: Call): void {
  const { request, response, trouble } = call;
  const object = call.bucket.get(call.key);
  requireMatch(call, object);
  const size = object.body.length;
  const range = rangeOf(request.headers.range, size);
  const body = range ? object.body.subarray(range.start, range.end + 1) : object.body;
  const claim = trouble && 'claim' in trouble ? trouble.claim : undefined;
  response.writeHead(claim?.status ?? (range ? 206 : 200), {
    ...describe(call, object),
    'content-length': body.length,
    ...(range && { 'content-range': `bytes ${range.start}-${range.end}/${size}` }),
    ...claim?.headers,
  });
  sendBody(trouble, response, body);
}

function requireMatch({ request }: Call, { etag }: BucketObject): void {
  const ifMatch = request.headers['if-match'];
  if (ifMatch !== undefined && ifMatch !== etag) throw new S3Error(412, 'PreconditionFailed');
}

/** A signed address may say how the object is to be served. */
function describe({ query }: Call, { headers, etag, lastModified }: BucketObject) {
  const asked = ['content-type', 'cache-control', 'content-disposition'].flatMap((name) => {
    const value = query.get(`response-${name}`);
    return value === null ? [] : [[name, value]];
  });
  return {
    'accept-ranges': 'bytes',
    'content-type': 'binary/octet-stream',
    ...headers,
    ...(Object.fromEntries(asked) as ObjectHeaders),
    etag,
    'last-modified': lastModified.toUTCString(),
  };
}

function rangeOf(header: string | undefined, size: number) {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(last) < start) return undefined;
  if (start >= size || (first === '' && Number(last) === 0)) throw new S3Error(416, 'InvalidRange');
  return { start, end };
}

function objectHeaders({ headers }: IncomingMessage): ObjectHeaders {
  const { 'content-type': type, 'cache-control': cacheControl } = headers;
  return {
    ...(type !== undefined && { 'content-type': type }),
    ...(cacheControl !== undefined && { 'cache-control': cacheControl }),
  };
}
