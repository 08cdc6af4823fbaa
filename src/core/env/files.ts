import { z } from 'zod';
import { documented } from './documented.js';
import { httpUrl, timeOfDay, whole, wholeNumber } from './values.js';

export const fileVariables = {
  DATA_DIR: documented(z.string().min(1).default('.atelier'), {
    help: 'Where the embedded PostgreSQL, the stored files and the generated secrets live.',
  }),
  S3_BUCKET: documented(z.string().min(3).max(63).optional(), {
    help: 'The bucket of an S3-compatible store that keeps the files: R2, MinIO, AWS. Default: files lie in DATA_DIR.',
    example: 'atelier',
  }),
  S3_ENDPOINT: documented(httpUrl.optional(), {
    help: 'The address of the store, without the bucket. Default: that of AWS in S3_REGION.',
    example: 'https://ACCOUNT.r2.cloudflarestorage.com',
  }),
  S3_REGION: documented(z.string().min(1).optional(), {
    help: 'The region of the bucket. Default: `auto` with S3_ENDPOINT, as R2 wants it; required without.',
    example: 'eu-central-1',
  }),
  S3_ACCESS_KEY_ID: documented(z.string().min(1).optional(), {
    help: 'The key for the store. Default: what the machine has, such as the role of its instance or pod.',
    example: '<access key id>',
  }),
  S3_SECRET_ACCESS_KEY: documented(z.string().min(1).optional(), {
    help: 'The secret of S3_ACCESS_KEY_ID.',
    example: '<secret access key>',
  }),
  S3_SESSION_TOKEN: documented(z.string().min(1).optional(), {
    help: 'The session of S3_ACCESS_KEY_ID, when it is a temporary one.',
    example: '<session token>',
  }),
  S3_FORCE_PATH_STYLE: documented(z.stringbool().optional(), {
    help: 'Whether the bucket stands in the path and not in the host name. Default: true with S3_ENDPOINT.',
    example: 'true',
  }),
  S3_PUBLIC_BASE_URL: documented(httpUrl.optional(), {
    help: 'The address under which anyone may read the bucket, such as that of a CDN. Default: it is private.',
    example: 'https://files.example.com',
  }),
  STORAGE_REDIRECT: documented(z.stringbool().default(false), {
    help: 'Whether requests for files are sent on to signed addresses of the store, which clients must reach.',
  }),
  SIGNED_URL_SECONDS: documented(whole(900, { min: 10, max: 604_800 }), {
    help: 'How long the file links in answers are valid, in seconds.',
  }),
  CLEANUP_GRACE_SECONDS: documented(whole(30 * 60, { min: 1, max: 30 * 86_400 }), {
    help: 'How long files stay that no row needs any more, or yet, in seconds; none is taken for lost before UPLOAD_TIMEOUT_MS.',
  }),
  CLEANUP_AT: documented(timeOfDay('03:00'), {
    help: 'When the nightly clean-up runs, as HH:MM in UTC.',
  }),
  IMAGE_RETENTION_DAYS: documented(wholeNumber({ min: 1, max: 36_500 }).optional(), {
    help: 'After how many days uploads that are linked to nothing are deleted. Default: never.',
    example: '365',
  }),
  RESUMABLE_UPLOAD_HOURS: documented(whole(24, { min: 1, max: 720 }), {
    help: 'How long a resumable upload may be continued, in hours.',
  }),
};
