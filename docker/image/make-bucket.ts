import { CreateBucketCommand, HeadBucketCommand, NotFound, S3Client } from '@aws-sdk/client-s3';

/**
 * Makes the bucket of `S3_BUCKET` where it does not exist yet, with the keys of the product. For
 * stores that belong to one machine, as in compose.yaml; elsewhere an operator makes buckets.
 */
function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set.`);
  return value;
}

const Bucket = variable('S3_BUCKET');
const client = new S3Client({
  endpoint: variable('S3_ENDPOINT'),
  region: variable('S3_REGION'),
  forcePathStyle: process.env['S3_FORCE_PATH_STYLE'] === 'true',
  credentials: {
    accessKeyId: variable('S3_ACCESS_KEY_ID'),
    secretAccessKey: variable('S3_SECRET_ACCESS_KEY'),
  },
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
});

try {
  await client.send(new HeadBucketCommand({ Bucket }));
  console.log(`The bucket ${Bucket} is there.`);
} catch (error) {
  if (!(error instanceof NotFound)) throw error;
  await client.send(new CreateBucketCommand({ Bucket }));
  console.log(`The bucket ${Bucket} was made.`);
}
