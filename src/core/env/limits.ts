import { documented, MEBIBYTE, MINUTES, SECONDS } from './documented.js';
import { whole } from './values.js';

export const limitVariables = {
  UPLOAD_MAX_BYTES: documented(whole(20 * MEBIBYTE, { min: 1024, max: 1024 * MEBIBYTE }), {
    help: 'The largest file that an upload may carry, in bytes.',
  }),
  UPLOAD_IDLE_TIMEOUT_MS: documented(whole(30 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    help: 'How long an upload may take for each 16 KiB, in milliseconds.',
  }),
  UPLOAD_TIMEOUT_MS: documented(whole(10 * MINUTES, { min: 1 * SECONDS, max: 60 * MINUTES }), {
    help: 'How long an upload may take in all, in milliseconds.',
  }),
  UPLOADS_PER_ACCOUNT: documented(whole(64, { min: 1, max: 100_000 }), {
    help: 'How many uploads of one account an API process takes in at once; others wait for 20 seconds, and are refused then (429).',
  }),
  UPLOADS_AT_ONCE: documented(whole(200, { min: 1, max: 100_000 }), {
    help: 'How many uploads an API process takes in at once, each with up to UPLOAD_MAX_BYTES on its disk, also when files go to S3; then whoever has most or is slowest makes room, or the next waits for 20 seconds and is refused (503). Four times as many may wait.',
  }),
  UPLOAD_MEMORY_MB: documented(whole(128, { min: 8, max: 1024 * 1024 }), {
    help: 'What files that one process is sending to S3 may take in memory, in MiB: 10 each at the most; others wait a while on the disk.',
  }),
  STORAGE_QUOTA_BYTES: documented(
    whole(5 * 1024 * MEBIBYTE, { min: 1024, max: Number.MAX_SAFE_INTEGER }),
    { help: 'What the files of one user may take in all, in bytes.' },
  ),
  IMAGE_MAX_PIXELS: documented(whole(50_000_000, { min: 1, max: 1_000_000_000 }), {
    help: 'The most pixels that an image may have, over all its frames.',
  }),
  IMAGE_MAX_FRAMES: documented(whole(60, { min: 1, max: 10_000 }), {
    help: 'The most frames that an animation may have.',
  }),
  IMAGE_DECODE_TIMEOUT_MS: documented(whole(10 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    help: 'How long the conversion of one image may take, in milliseconds.',
  }),
  JSON_MAX_BYTES: documented(whole(100 * 1024, { min: 1024, max: 16 * MEBIBYTE }), {
    help: 'The largest JSON body, in bytes.',
  }),
  HEADERS_MAX_BYTES: documented(whole(16 * 1024, { min: 4096, max: 128 * 1024 }), {
    help: 'The largest request line and headers together, in bytes.',
  }),
  REQUEST_TIMEOUT_MS: documented(whole(30 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    help: 'How long a client may take to send a request that is not an upload, and to read each 16 KiB of an answer, in milliseconds.',
  }),
  MAX_CONNECTIONS: documented(whole(10_000, { min: 10, max: 1_000_000 }), {
    help: 'The most connections of clients to one API process; more are closed at once.',
  }),
};
