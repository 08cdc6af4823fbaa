/** The variables of an S3-compatible store, as far as they are given. */
interface S3Variables {
  S3_BUCKET?: string | undefined;
  S3_ENDPOINT?: string | undefined;
  S3_REGION?: string | undefined;
  S3_ACCESS_KEY_ID?: string | undefined;
  S3_SECRET_ACCESS_KEY?: string | undefined;
  S3_SESSION_TOKEN?: string | undefined;
  S3_FORCE_PATH_STYLE?: boolean | undefined;
  S3_PUBLIC_BASE_URL?: string | undefined;
  STORAGE_REDIRECT: boolean;
}

/** What is missing of a store that is configured by half, by the variable that is missing. */
export function missingOfS3(env: S3Variables): { name: keyof S3Variables; message: string }[] {
  const { S3_BUCKET: bucket, S3_ACCESS_KEY_ID: keyId, S3_SECRET_ACCESS_KEY: secret } = env;
  const others = Object.entries(env).flatMap(([name, value]) =>
    name.startsWith('S3_') && name !== 'S3_BUCKET' && value !== undefined ? [name] : [],
  );
  if (bucket === undefined) {
    const needing = [...others, ...(env.STORAGE_REDIRECT ? ['STORAGE_REDIRECT'] : [])];
    return needing.length === 0
      ? []
      : [{ name: 'S3_BUCKET', message: `is required with ${needing.join(', ')}` }];
  }
  const isKeyed = keyId !== undefined || env.S3_SESSION_TOKEN !== undefined;
  const checks: [boolean, keyof S3Variables, string][] = [
    [
      env.S3_REGION === undefined && env.S3_ENDPOINT === undefined,
      'S3_REGION',
      'is required without S3_ENDPOINT',
    ],
    [isKeyed && secret === undefined, 'S3_SECRET_ACCESS_KEY', 'is required with S3_ACCESS_KEY_ID'],
    [
      secret !== undefined && keyId === undefined,
      'S3_ACCESS_KEY_ID',
      'is required with S3_SECRET_ACCESS_KEY',
    ],
  ];
  return checks.flatMap(([isMissing, name, message]) => (isMissing ? [{ name, message }] : []));
}
