import { z } from 'zod';
import { redisHosts, redisMisfits, redisPort, redisPrefix, redisUrl } from './env-redis.js';
import { missingOfS3 } from './env-s3.js';
import {
  bearerToken,
  headers,
  httpUrl,
  isGuessable,
  networks,
  origins,
  postgresUrl,
  postgresUrls,
  secret,
  timeOfDay,
  whole,
  wholeNumber,
} from './env-values.js';

/**
 * The environment: the one place where variables are named, documented, parsed and defaulted.
 *
 * `.env.example` and the configuration reference are made from this schema. Entry points call
 * {@link readEnv} once and hand the result on; nothing else reads `process.env`.
 */

/** Headings of `.env.example`, in the order in which they appear there. */
export const ENV_SECTIONS = [
  'Process',
  'HTTP',
  'Secrets and sign-in',
  'Database',
  'Queue and worker',
  'Files',
  'Limits',
  'Metrics and traces',
] as const;

interface VariableDoc {
  section: (typeof ENV_SECTIONS)[number];
  /** What it is for, with its unit. One sentence or two. */
  help: string;
  /** A value to show in `.env.example` where there is no default. */
  example?: string;
}

/** The documentation of each variable, kept beside its schema. */
export const envDocs = z.registry<VariableDoc>();

const DEFAULT_PORT = 3000;

function documented<T extends z.ZodType>(schema: T, doc: VariableDoc): T {
  // Variables that share a schema have each a documentation of their own.
  const own = schema.clone();
  envDocs.add(own, doc);
  return own;
}

const SECONDS = 1_000;
const MINUTES = 60 * SECONDS;
const MEBIBYTE = 1024 * 1024;

const variables = z.object({
  NODE_ENV: documented(z.enum(['development', 'test', 'production']).default('development'), {
    section: 'Process',
    help: '`production` refuses weak secrets and embedded defaults that would only pretend.',
  }),
  LOG_LEVEL: documented(
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    { section: 'Process', help: 'The least severe level that is written.' },
  ),
  LOG_FORMAT: documented(z.enum(['auto', 'json', 'pretty']).default('auto'), {
    section: 'Process',
    help: '`auto` is pretty in a terminal and JSON elsewhere.',
  }),
  SHUTDOWN_TIMEOUT_MS: documented(whole(12 * SECONDS, { min: 1 * SECONDS, max: 10 * MINUTES }), {
    section: 'Process',
    help: 'How long requests and jobs may still run after SIGTERM, in milliseconds.',
  }),
  SHUTDOWN_LEAVE_MS: documented(whole(2 * SECONDS, { min: 0, max: 10 * MINUTES }), {
    section: 'Process',
    help: 'For how much of that the API still takes new connections while readiness is off, in milliseconds: longer than the load balancer takes to notice.',
  }),

  HOST: documented(z.string().default('127.0.0.1'), {
    section: 'HTTP',
    help: 'The address to listen on; 0.0.0.0 in a container.',
  }),
  PORT: documented(whole(DEFAULT_PORT, { min: 0, max: 65_535 }), {
    section: 'HTTP',
    help: 'The port of the API; 0 takes any free one.',
  }),
  PUBLIC_URL: documented(httpUrl.optional(), {
    section: 'HTTP',
    help: 'The address that clients use, put before the links in answers. Default: http://localhost:PORT.',
    example: 'https://api.example.com',
  }),
  CORS_ORIGINS: documented(origins, {
    section: 'HTTP',
    help: 'Origins of browser apps that may call the API, exact, separated by commas.',
    example: 'https://app.example.com,https://admin.example.com',
  }),
  TRUST_PROXY: documented(networks, {
    section: 'HTTP',
    help: 'Addresses or CIDR ranges of proxies whose X-Forwarded-* headers count, separated by commas.',
    example: '10.0.0.0/8',
  }),
  KEEP_ALIVE_TIMEOUT_MS: documented(whole(65 * SECONDS, { min: 1 * SECONDS, max: 60 * MINUTES }), {
    section: 'HTTP',
    help: 'How long an idle connection from TRUST_PROXY is kept, in milliseconds: longer than the load balancer keeps it. Others are kept 30 seconds.',
  }),

  APP_SECRET: documented(secret, {
    section: 'Secrets and sign-in',
    help: 'Signs file URLs and cookies. At least 32 bytes. `npm start` makes one and keeps it.',
    example: '<openssl rand -base64 48>',
  }),
  JWT_SECRET: documented(secret, {
    section: 'Secrets and sign-in',
    help: 'Signs access tokens: its UTF-8 bytes are the HS256 key. At least 32 bytes. `npm start` makes one and keeps it.',
    example: '<openssl rand -base64 48>',
  }),
  ACCESS_TOKEN_SECONDS: documented(whole(900, { min: 30, max: 86_400 }), {
    section: 'Secrets and sign-in',
    help: 'How long an access token is valid, in seconds.',
  }),
  PASSWORD_MIN_LENGTH: documented(wholeNumber({ min: 1, max: 128 }).optional(), {
    section: 'Secrets and sign-in',
    help: 'The least number of characters in a password. Default: 6, and 8 in production.',
    example: '8',
  }),

  DATABASE_URL: documented(postgresUrl, {
    section: 'Database',
    help: 'PostgreSQL 15 or later, as the restricted role. `npm start` runs its own PostgreSQL when this is unset.',
    example: 'postgresql://atelier_app:password@localhost:5432/atelier',
  }),
  MIGRATION_DATABASE_URL: documented(postgresUrl.optional(), {
    section: 'Database',
    help: 'The same database as the role that owns the tables; only `npm run migrate` uses it. Default: DATABASE_URL.',
    example: 'postgresql://atelier_owner:password@localhost:5432/atelier',
  }),
  DATABASE_DIRECT_URL: documented(postgresUrl.optional(), {
    section: 'Database',
    help: 'The same database and role without the pooler that DATABASE_URL leads through, for LISTEN and the queue. Default: DATABASE_URL.',
    example: 'postgresql://atelier_app:password@localhost:5432/atelier',
  }),
  DATABASE_REPLICA_URLS: documented(postgresUrls, {
    section: 'Database',
    help: 'Streaming replicas that lists are read from in turn, as the restricted role, separated by commas.',
    example: 'postgresql://atelier_app:password@replica:5432/atelier',
  }),
  DATABASE_REPLICA_MAX_LAG_MS: documented(whole(5 * SECONDS, { min: 3_000, max: 10 * MINUTES }), {
    section: 'Database',
    help: 'How far a replica may be behind before lists are read from the primary, in milliseconds.',
  }),
  EMBEDDED_POSTGRES: documented(z.stringbool().default(false), {
    section: 'Database',
    help: 'Whether DATABASE_URL is the PostgreSQL that `npm start` runs; it sets this itself.',
  }),
  DATABASE_POOL_SIZE: documented(whole(10, { min: 2, max: 500 }), {
    section: 'Database',
    help: 'The most connections that one process opens for its own queries, to the primary and to each replica.',
  }),
  DATABASE_QUEUE_POOL_SIZE: documented(whole(2, { min: 1, max: 100 }), {
    section: 'Database',
    help: 'The most connections that one process opens for all queues when they are on PostgreSQL; a worker listens on one more.',
  }),
  DATABASE_POOL_TIMEOUT_MS: documented(whole(5 * SECONDS, { min: 100, max: 1 * MINUTES }), {
    section: 'Database',
    help: 'How long a query waits for a connection, in milliseconds.',
  }),
  DATABASE_STATEMENT_TIMEOUT_MS: documented(whole(15 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    section: 'Database',
    help: 'The longest that one statement may run, in milliseconds.',
  }),
  DATABASE_LOCK_TIMEOUT_MS: documented(whole(5 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    section: 'Database',
    help: 'The longest that a statement waits for a lock, in milliseconds.',
  }),
  DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: documented(
    whole(30 * SECONDS, { min: 1 * SECONDS, max: 10 * MINUTES }),
    {
      section: 'Database',
      help: 'After how long PostgreSQL ends a transaction that does nothing, in milliseconds.',
    },
  ),

  REDIS_URL: documented(redisUrl, {
    section: 'Queue and worker',
    help: 'Redis 6.2 or later, or Valkey, that carries the jobs, redis:// or rediss:// for TLS, with the number of a database as its path. Default: PostgreSQL carries them.',
    example: 'rediss://user:password@redis.example.com:6379/0',
  }),
  REDIS_HOST: documented(redisHosts, {
    section: 'Queue and worker',
    help: 'Instead of REDIS_URL: the host; or the nodes of a Cluster, or the Sentinels, separated by commas, each with its port.',
    example: 'redis.example.com',
  }),
  REDIS_PORT: documented(redisPort, {
    section: 'Queue and worker',
    help: 'The port of those of REDIS_HOST that name none. Default: 6379, and 26379 for Sentinels.',
    example: '6379',
  }),
  REDIS_USERNAME: documented(z.string().optional(), {
    section: 'Queue and worker',
    help: 'The user to sign in as at REDIS_HOST. Default: the default user.',
    example: 'atelier',
  }),
  REDIS_PASSWORD: documented(z.string().optional(), {
    section: 'Queue and worker',
    help: 'The password to sign in with at REDIS_HOST.',
    example: 'password',
  }),
  REDIS_TLS: documented(z.stringbool().optional(), {
    section: 'Queue and worker',
    help: 'Whether REDIS_HOST speaks TLS. Default: false.',
    example: 'true',
  }),
  REDIS_CA_FILE: documented(z.string().optional(), {
    section: 'Queue and worker',
    help: 'A file with the certificates, in PEM, of a private authority that signed those of Redis. Default: the public ones.',
    example: '/etc/atelier/redis-ca.pem',
  }),
  REDIS_CLUSTER: documented(z.stringbool().optional(), {
    section: 'Queue and worker',
    help: 'Whether it is a Redis Cluster, of which one node or several are named. Default: false.',
    example: 'true',
  }),
  REDIS_SENTINEL_NAME: documented(z.string().optional(), {
    section: 'Queue and worker',
    help: 'The name of the primary when the hosts are Sentinels.',
    example: 'mymaster',
  }),
  REDIS_SENTINEL_PASSWORD: documented(z.string().optional(), {
    section: 'Queue and worker',
    help: 'The password of the Sentinels themselves.',
    example: 'password',
  }),
  REDIS_PREFIX: documented(redisPrefix, {
    section: 'Queue and worker',
    help: 'What the names of all keys in Redis begin with; each installation that shares a Redis needs its own.',
  }),
  QUEUE_PER_OWNER: documented(whole(8, { min: 1, max: 10_000 }), {
    section: 'Queue and worker',
    help: 'How many rows of one owner may be in a queue at once; the rest wait their turn in the database.',
  }),
  RECONCILE_EVERY_MS: documented(whole(2 * SECONDS, { min: 100, max: 1 * MINUTES }), {
    section: 'Queue and worker',
    help: 'How often the worker looks for rows that are due and not in a queue, in milliseconds.',
  }),
  IMAGE_CONCURRENCY: documented(whole(2, { min: 1, max: 64 }), {
    section: 'Queue and worker',
    help: 'How many images one worker converts at once, each in a child process of its own.',
  }),
  DECODE_MEMORY_MB: documented(whole(1_200, { min: 128, max: 1024 * 1024 }), {
    section: 'Queue and worker',
    help: 'What the pictures that one worker decodes at once may take in memory, as estimated, in MiB; a larger one is decoded alone.',
  }),
  IMAGE_AVIF: documented(z.stringbool().default(false), {
    section: 'Queue and worker',
    help: 'Whether variants are made as AVIF, too, for clients that accept it; takes twice the CPU.',
  }),
  WEBP_EFFORT: documented(whole(2, { min: 0, max: 6 }), {
    section: 'Queue and worker',
    help: 'CPU spent on each variant, from 0 (fastest) to 6 (smallest).',
  }),
  WEBP_QUALITY: documented(whole(80, { min: 1, max: 100 }), {
    section: 'Queue and worker',
    help: 'Quality of the variants, from 1 to 100.',
  }),

  DATA_DIR: documented(z.string().min(1).default('.atelier'), {
    section: 'Files',
    help: 'Where the embedded PostgreSQL, the stored files and the generated secrets live.',
  }),
  S3_BUCKET: documented(z.string().min(3).max(63).optional(), {
    section: 'Files',
    help: 'The bucket of an S3-compatible store that keeps the files: R2, MinIO, AWS. Default: files lie in DATA_DIR.',
    example: 'atelier',
  }),
  S3_ENDPOINT: documented(httpUrl.optional(), {
    section: 'Files',
    help: 'The address of the store, without the bucket. Default: that of AWS in S3_REGION.',
    example: 'https://ACCOUNT.r2.cloudflarestorage.com',
  }),
  S3_REGION: documented(z.string().min(1).optional(), {
    section: 'Files',
    help: 'The region of the bucket. Default: `auto` with S3_ENDPOINT, as R2 wants it; required without.',
    example: 'eu-central-1',
  }),
  S3_ACCESS_KEY_ID: documented(z.string().min(1).optional(), {
    section: 'Files',
    help: 'The key for the store. Default: what the machine has, such as the role of its instance or pod.',
    example: '<access key id>',
  }),
  S3_SECRET_ACCESS_KEY: documented(z.string().min(1).optional(), {
    section: 'Files',
    help: 'The secret of S3_ACCESS_KEY_ID.',
    example: '<secret access key>',
  }),
  S3_SESSION_TOKEN: documented(z.string().min(1).optional(), {
    section: 'Files',
    help: 'The session of S3_ACCESS_KEY_ID, when it is a temporary one.',
    example: '<session token>',
  }),
  S3_FORCE_PATH_STYLE: documented(z.stringbool().optional(), {
    section: 'Files',
    help: 'Whether the bucket stands in the path and not in the host name. Default: true with S3_ENDPOINT.',
    example: 'true',
  }),
  S3_PUBLIC_BASE_URL: documented(httpUrl.optional(), {
    section: 'Files',
    help: 'The address under which anyone may read the bucket, such as that of a CDN. Default: it is private.',
    example: 'https://files.example.com',
  }),
  STORAGE_REDIRECT: documented(z.stringbool().default(false), {
    section: 'Files',
    help: 'Whether requests for files are sent on to signed addresses of the store, which clients must reach.',
  }),
  SIGNED_URL_SECONDS: documented(whole(900, { min: 10, max: 604_800 }), {
    section: 'Files',
    help: 'How long the file links in answers are valid, in seconds.',
  }),
  CLEANUP_GRACE_SECONDS: documented(whole(30 * 60, { min: 1, max: 30 * 86_400 }), {
    section: 'Files',
    help: 'How long files stay that no row needs any more, or yet, in seconds; none is taken for lost before UPLOAD_TIMEOUT_MS.',
  }),
  CLEANUP_AT: documented(timeOfDay('03:00'), {
    section: 'Files',
    help: 'When the nightly clean-up runs, as HH:MM in UTC.',
  }),
  IMAGE_RETENTION_DAYS: documented(wholeNumber({ min: 1, max: 36_500 }).optional(), {
    section: 'Files',
    help: 'After how many days uploads that are linked to nothing are deleted. Default: never.',
    example: '365',
  }),
  RESUMABLE_UPLOAD_HOURS: documented(whole(24, { min: 1, max: 720 }), {
    section: 'Files',
    help: 'How long a resumable upload may be continued, in hours.',
  }),

  UPLOAD_MAX_BYTES: documented(whole(20 * MEBIBYTE, { min: 1024, max: 1024 * MEBIBYTE }), {
    section: 'Limits',
    help: 'The largest file that an upload may carry, in bytes.',
  }),
  UPLOAD_IDLE_TIMEOUT_MS: documented(whole(30 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    section: 'Limits',
    help: 'How long an upload may take for each 16 KiB, in milliseconds.',
  }),
  UPLOAD_TIMEOUT_MS: documented(whole(10 * MINUTES, { min: 1 * SECONDS, max: 60 * MINUTES }), {
    section: 'Limits',
    help: 'How long an upload may take in all, in milliseconds.',
  }),
  STORAGE_QUOTA_BYTES: documented(
    whole(5 * 1024 * MEBIBYTE, { min: 1024, max: Number.MAX_SAFE_INTEGER }),
    { section: 'Limits', help: 'What the files of one user may take in all, in bytes.' },
  ),
  IMAGE_MAX_PIXELS: documented(whole(50_000_000, { min: 1, max: 1_000_000_000 }), {
    section: 'Limits',
    help: 'The most pixels that an image may have, over all its frames.',
  }),
  IMAGE_MAX_FRAMES: documented(whole(60, { min: 1, max: 10_000 }), {
    section: 'Limits',
    help: 'The most frames that an animation may have.',
  }),
  IMAGE_DECODE_TIMEOUT_MS: documented(whole(10 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    section: 'Limits',
    help: 'How long the conversion of one image may take, in milliseconds.',
  }),
  JSON_MAX_BYTES: documented(whole(100 * 1024, { min: 1024, max: 16 * MEBIBYTE }), {
    section: 'Limits',
    help: 'The largest JSON body, in bytes.',
  }),
  HEADERS_MAX_BYTES: documented(whole(16 * 1024, { min: 4096, max: 128 * 1024 }), {
    section: 'Limits',
    help: 'The largest request line and headers together, in bytes.',
  }),
  REQUEST_TIMEOUT_MS: documented(whole(30 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    section: 'Limits',
    help: 'How long a client may take to send a request that is not an upload, and to read each 16 KiB of an answer, in milliseconds.',
  }),
  MAX_CONNECTIONS: documented(whole(10_000, { min: 10, max: 1_000_000 }), {
    section: 'Limits',
    help: 'The most connections of clients to one API process; more are closed at once.',
  }),

  METRICS_TOKEN: documented(bearerToken(16).optional(), {
    section: 'Metrics and traces',
    help: 'Lets who sends it as `Authorization: Bearer` read /metrics from other machines. At least 16 bytes. Default: only this machine may.',
    example: '<openssl rand -base64 24>',
  }),
  WORKER_METRICS_PORT: documented(whole(0, { min: 0, max: 65_535 }), {
    section: 'Metrics and traces',
    help: 'The port on which the worker serves /metrics and /health, at HOST; 0 takes any free one. `npm start` keeps the one that it took.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: documented(
    z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional(),
    {
      section: 'Metrics and traces',
      help: 'The collector that traces are sent to, by OTLP over HTTP, at /v1/traces below it. Default: nothing is traced.',
      example: 'http://localhost:4318',
    },
  ),
  OTEL_EXPORTER_OTLP_HEADERS: documented(headers.optional(), {
    section: 'Metrics and traces',
    help: 'Headers for the collector, as name=value, URL-encoded and separated by commas.',
    example: 'authorization=Bearer%20token',
  }),
  OTEL_TRACES_SAMPLER_ARG: documented(
    z.coerce
      .number({ error: 'must be a number' })
      .min(0, 'must be at least 0')
      .max(1, 'must be at most 1')
      .default(1),
    {
      section: 'Metrics and traces',
      help: 'The part of the traces that is recorded, from 0 to 1; one that a client began goes on as that decided.',
    },
  ),
  OTEL_SERVICE_NAME: documented(z.string().min(1).default('atelier'), {
    section: 'Metrics and traces',
    help: 'The name of the product in traces.',
  }),
});

/** The documented variables by name, in the order of `.env.example`. */
export const envVariables: Readonly<Record<string, z.ZodType>> = variables.shape;

const environment = variables.superRefine((env, context) => {
  for (const { name, message } of [...redisMisfits(env), ...missingOfS3(env)]) {
    context.addIssue({ code: 'custom', path: [name], message });
  }
  if (env.NODE_ENV !== 'production') return;
  for (const name of ['APP_SECRET', 'JWT_SECRET'] as const) {
    if (isGuessable(env[name])) {
      context.addIssue({ code: 'custom', path: [name], message: 'is too easy to guess' });
    }
  }
  if (env.APP_SECRET === env.JWT_SECRET) {
    context.addIssue({
      code: 'custom',
      path: ['JWT_SECRET'],
      message: 'must differ from APP_SECRET',
    });
  }
});

/** The parsed environment of one process. */
export type Env = Readonly<
  Omit<z.output<typeof variables>, 'PUBLIC_URL' | 'PASSWORD_MIN_LENGTH'> & {
    PUBLIC_URL: string;
    PASSWORD_MIN_LENGTH: number;
  }
>;

/** Injection token of {@link Env}. */
export const ENV = Symbol('ENV');

/** Variables that are missing or wrong, each by name and reason and never by value. */
export class InvalidEnvironment extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`The configuration is not usable:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'InvalidEnvironment';
  }
}

/**
 * Parses the environment.
 *
 * @param source usually `process.env`; empty variables count as unset
 * @throws InvalidEnvironment naming every variable that is missing or wrong
 */
export function readEnv(source: NodeJS.ProcessEnv = process.env): Env {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    throw new InvalidEnvironment(
      parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`),
    );
  }
  const env = parsed.data;
  return Object.freeze({
    ...env,
    PUBLIC_URL: env.PUBLIC_URL ?? `http://localhost:${env.PORT}`,
    PASSWORD_MIN_LENGTH: env.PASSWORD_MIN_LENGTH ?? (env.NODE_ENV === 'production' ? 8 : 6),
  });
}

/**
 * An environment for tools that connect to no database, sign nothing, and let nobody in.
 *
 * @param source what they need besides; of a whole environment the rest is left aside
 * @throws InvalidEnvironment
 */
export function offlineEnv(source: NodeJS.ProcessEnv = {}): Env {
  return readEnv({
    ...source,
    NODE_ENV: 'development',
    DATABASE_URL: 'postgresql://nobody@localhost/nothing',
    APP_SECRET: 'unused, because nothing is signed here',
    JWT_SECRET: 'unused, because nobody signs in here',
  });
}

/** {@link offlineEnv} of this process. @throws InvalidEnvironment */
export function readOfflineEnv(): Env {
  return offlineEnv(process.env);
}

/** `DATA_DIR` alone, for `npm start`, which finds the other required variables there. */
export function readDataDir(source: NodeJS.ProcessEnv = process.env): string {
  return variables.shape.DATA_DIR.parse(source['DATA_DIR'] || undefined);
}
