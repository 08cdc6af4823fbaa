import { flushCompileCache, getCompileCacheDir } from 'node:module';
import { join } from 'node:path';

/**
 * Fills `NODE_COMPILE_CACHE` while the image is built: loads every module that the API, the worker
 * and `migrate` begin with, whatever they are configured for, and starts none of them, as there is no
 * database and no secret here.
 *
 * Importing an entry point would start it, so the parts that they are made of are named.
 */
const PARTS = [
  'app.js',
  'worker.module.js',
  'mikro-orm.config.js',
  'runtime-role.js',
  'core/tracing/open-telemetry.js',
  'queue/redis/redis-backend.js',
  'storage/s3/s3.storage.js',
];

if (getCompileCacheDir() === undefined) {
  throw new Error('NODE_COMPILE_CACHE is not set, or names a folder that cannot be written.');
}
for (const part of PARTS) {
  await import(join(import.meta.dirname, '../../dist/current/src', part));
}
flushCompileCache();
