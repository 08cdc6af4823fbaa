import { describe, expect, it } from '@jest/globals';
import { rewriteFirstClientRoute } from './first-client-routes.js';

describe('the first clients’ routes', () => {
  it.each([
    ['POST', '/upload', '/api/v1/images/upload?wait=30'],
    ['POST', '/upload?a=b', '/api/v1/images/upload?wait=30&a=b'],
    ['POST', '/upload?wait=0', '/api/v1/images/upload?wait=0'],
    ['GET', '/images/abc?size=medium', '/api/v1/images/abc/file?size=medium'],
    ['HEAD', '/images/abc', '/api/v1/images/abc/file'],
    ['GET', '/image/metadata/abc', '/api/v1/images/abc/metadata'],
    ['POST', '/auth/login', '/api/v1/auth/login'],
    ['POST', '/auth/register', '/api/v1/auth/register'],
    ['GET', '/admin/queue-metrics', '/api/v1/admin/queue-metrics'],
    ['GET', '/admin/failed-jobs?status=FAILED', '/api/v1/admin/failed-jobs?status=FAILED'],
    ['POST', '/admin/failed-jobs/abc/retry', '/api/v1/admin/failed-jobs/abc/retry'],
    ['DELETE', '/admin/failed-jobs/abc', '/api/v1/admin/failed-jobs/abc'],
  ])('%s %s leads to %s', (method, url, to) => {
    expect(rewriteFirstClientRoute(method, url)).toBe(to);
  });

  it.each([
    ['GET', '/upload'],
    ['DELETE', '/images/abc'],
    ['GET', '/images/abc/file'],
    ['GET', '/images/'],
    ['GET', '/api/v1/images/abc'],
    ['POST', '/auth/login/'],
    ['GET', '/health'],
    ['GET', '/admin/audit'],
    ['DELETE', '/admin/failed-jobs'],
    ['POST', '/admin/failed-jobs/retry'],
    ['POST', '/admin/failed-jobs/abc'],
  ])('%s %s stays as it is', (method, url) => {
    expect(rewriteFirstClientRoute(method, url)).toBe(url);
  });
});
