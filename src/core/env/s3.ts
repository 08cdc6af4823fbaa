import { z } from 'zod';
import { documented } from './documented.js';
import { type Misfit, misfitsBy } from './misfits.js';
import { httpUrl, visible } from './values.js';

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; others have the same. */
const BUCKET = /^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

const bucket = z
  .string()
  .regex(BUCKET, 'must be 3 to 63 lower-case letters, digits, dots and hyphens')
  .describe('3 to 63 characters');
const region = z.string().regex(/^[\w-]+$/, 'must be letters, digits and hyphens');

export const s3Variables = {
  S3_BUCKET: documented(bucket.optional(), {
    help: 'The bucket of an S3-compatible store that keeps the files: R2, MinIO, AWS. Default: files lie in DATA_DIR.',
    example: 'atelier',
  }),
  S3_ENDPOINT: documented(httpUrl.optional(), {
    help: 'The address of the store, without the bucket. Default: that of AWS in S3_REGION.',
    example: 'https://ACCOUNT.r2.cloudflarestorage.com',
  }),
  S3_REGION: documented(region.optional(), {
    help: 'The region of the bucket. Default: `auto` with S3_ENDPOINT, as R2 wants it; required without.',
    example: 'eu-central-1',
  }),
  S3_ACCESS_KEY_ID: documented(visible.optional(), {
    help: 'The key for the store. Default: what the machine has, such as the role of its instance or pod.',
    example: '<access key id>',
  }),
  S3_SECRET_ACCESS_KEY: documented(z.string().min(1).optional(), {
    help: 'The secret of S3_ACCESS_KEY_ID.',
    example: '<secret access key>',
  }),
  S3_SESSION_TOKEN: documented(visible.optional(), {
    help: 'The session of S3_ACCESS_KEY_ID, when it is a temporary one.',
    example: '<session token>',
  }),
  S3_FORCE_PATH_STYLE: documented(z.stringbool().optional(), {
    help: 'Whether the bucket stands in the path and not in the host name. Default: true with S3_ENDPOINT.',
    example: 'true',
  }),
  S3_PUBLIC_BASE_URL: documented(httpUrl.optional(), {
    help: 'With STORAGE_REDIRECT: the address of the bucket, such as that of a CDN, at which anyone fetches files of public images by their keys. Default: it is private.',
    example: 'https://files.example.com',
  }),
  STORAGE_REDIRECT: documented(z.stringbool().default(false), {
    help: 'Whether requests for pictures are sent on to signed addresses of the store, which clients must reach.',
  }),
};

type S3Variables = z.output<z.ZodObject<typeof s3Variables>>;

const NEEDS_A_BUCKET = [
  'S3_ENDPOINT',
  'S3_REGION',
  'S3_ACCESS_KEY_ID',
  'S3_SECRET_ACCESS_KEY',
  'S3_SESSION_TOKEN',
  'S3_FORCE_PATH_STYLE',
  'S3_PUBLIC_BASE_URL',
  'STORAGE_REDIRECT',
] as const;

/** What is missing of a store that is configured by half. */
export function s3Misfits(env: S3Variables): Misfit[] {
  const { S3_BUCKET: bucket, S3_ACCESS_KEY_ID: keyId, S3_SECRET_ACCESS_KEY: secret } = env;
  if (bucket === undefined) {
    const needing = NEEDS_A_BUCKET.filter((name) => isGiven(name, env));
    const message = `is required with ${needing.join(', ')}`;
    return misfitsBy([[needing.length > 0, 'S3_BUCKET', message]]);
  }
  const isKeyed = keyId !== undefined || env.S3_SESSION_TOKEN !== undefined;
  return misfitsBy([
    [
      env.S3_REGION === undefined && env.S3_ENDPOINT === undefined,
      'S3_REGION',
      'is required without S3_ENDPOINT',
    ],
    [
      env.S3_PUBLIC_BASE_URL !== undefined && !env.STORAGE_REDIRECT,
      'STORAGE_REDIRECT',
      'must be true with S3_PUBLIC_BASE_URL',
    ],
    [isKeyed && secret === undefined, 'S3_SECRET_ACCESS_KEY', 'is required with S3_ACCESS_KEY_ID'],
    [
      secret !== undefined && keyId === undefined,
      'S3_ACCESS_KEY_ID',
      'is required with S3_SECRET_ACCESS_KEY',
    ],
  ]);
}

/** STORAGE_REDIRECT is always there, and says nothing when it is false. */
function isGiven(name: keyof S3Variables, env: S3Variables): boolean {
  return name === 'STORAGE_REDIRECT' ? env[name] : env[name] !== undefined;
}
