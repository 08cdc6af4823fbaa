import { applyDecorators } from '@nestjs/common';
import { ApiHeader } from '../../core/openapi/openapi-decorators.js';
import { notFound } from '../../core/problems/problem.js';
import { preconditionFailed, rangeNotSatisfiable } from '../storage.problems.js';

const CACHE_HEADERS = {
  etag: 'Send it as `If-None-Match` next time, or as `If-Range` to go on with a download.',
  'last-modified': 'When the file was stored.',
  'cache-control': 'For how long the file may be kept, and by whom.',
};

const FILE_HEADERS = {
  ...CACHE_HEADERS,
  'content-length': 'How many bytes follow.',
  'content-disposition': '`inline`, with a name to save the file under.',
  'accept-ranges': '`bytes`: parts of the file can be fetched.',
};

/** The successes of a route that ends in `sendStoredFile`, for its `@Operation`. */
export function fileAnswers(contentType = 'application/octet-stream') {
  return {
    200: { description: 'The file', binary: contentType, headers: FILE_HEADERS },
    206: {
      description: 'The part of the file that `Range` asked for',
      binary: contentType,
      headers: { ...FILE_HEADERS, 'content-range': '`bytes FIRST-LAST/SIZE`' },
    },
    302: {
      description: 'The file is fetched from its store: follow, without your access token',
      headers: {
        location:
          'An address of the store. One that is signed works for this method, and for a while.',
        'cache-control': CACHE_HEADERS['cache-control'],
      },
    },
    304: { description: 'You have it already', headers: CACHE_HEADERS },
  };
}

/** The problems of such a route, for its `@Operation`. */
export const FILE_PROBLEMS = [notFound, preconditionFailed, rangeNotSatisfiable];

/** Documents the request headers that such a route heeds. */
export function TakesFileHeaders() {
  const headers = {
    Range: 'One range of bytes: `bytes=0-99`, `bytes=100-` or `bytes=-100`.',
    'If-Range': 'An `ETag` or `Last-Modified`: for another file, `Range` is passed over.',
    'If-None-Match': 'An `ETag`: 304 when it is still that of the file.',
    'If-Modified-Since': 'A `Last-Modified`: 304 when it is still that of the file.',
    'If-Match': 'An `ETag`: 412 when it is no longer that of the file.',
    'If-Unmodified-Since': 'A `Last-Modified`: 412 when the file is newer.',
  };
  return applyDecorators(
    ...Object.entries(headers).map(([name, description]) =>
      ApiHeader({ name, required: false, description }),
    ),
  );
}
