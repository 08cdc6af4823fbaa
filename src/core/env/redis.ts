import { z } from 'zod';
import { documented } from './documented.js';
import { type Misfit, misfitsBy, type Rule } from './misfits.js';
import { hasEscapedCredentials } from './url-credentials.js';
import { withoutBrackets } from './url-host.js';
import { wholeNumber } from './values.js';

/** One address of a Redis, a node of a Cluster, or a Sentinel. */
interface RedisHost {
  readonly host: string;
  /** Undefined when REDIS_PORT tells it, or the default. */
  readonly port: number | undefined;
}

const HOST = /^(?<host>\[[0-9a-f:.]+\]|[^\s:/@,[\]]+)(?::(?<port>\d{1,5}))?$/i;

/** `redis://` or `rediss://`, with the number of a database as its path. */
const redisUrl = z
  .url({
    protocol: /^rediss?$/,
    error:
      'must be a redis:// or rediss:// URL, such as rediss://user:password@host:6379/0, with / in a password as %2F',
    // The other rules, and those that hold it against its neighbours, read it as a URL.
    abort: true,
  })
  .refine((value) => /^\/?\d{0,5}$/.test(new URL(value).pathname), {
    error: 'must have nothing but the number of a database as its path',
  })
  .refine((value) => new URL(value).hostname !== '', { error: 'must name a host' })
  .refine((value) => hasEscapedCredentials(new URL(value)), {
    error: 'must have its user and password escaped: % as %25, @ as %40',
  })
  .refine((value) => new URL(value).search === '' && new URL(value).hash === '', {
    error: 'must have no parameters: use REDIS_CA_FILE, REDIS_CLUSTER and the others',
  })
  .optional();

/** Hosts separated by commas, each with a port of its own if it has one. */
const redisHosts = z
  .string()
  .transform((value) => value.split(',').map((part) => hostOf(part.trim())))
  .refine((hosts) => hosts.every((host) => host !== undefined), {
    error: 'must be a host, or several such as a:6379,b:6379, separated by commas',
  })
  .transform((hosts) => hosts.filter((host) => host !== undefined))
  .optional();

const redisPort = wholeNumber({ min: 1, max: 65_535 }).optional();

/** What Redis calls a hash tag would bind keys together by surprise, so braces are refused. */
const redisPrefix = z
  .string()
  .regex(/^[\w.:-]{1,100}$/, 'must be letters, digits and any of . : _ -')
  .default('atelier');

export const redisVariables = {
  REDIS_URL: documented(redisUrl, {
    help: 'Redis 6.2 or later, or Valkey, that carries the jobs and counts for rate limits, redis:// or rediss:// for TLS, with the number of a database as its path. Default: PostgreSQL does both.',
    example: 'rediss://user:password@redis.example.com:6379/0',
  }),
  REDIS_HOST: documented(redisHosts, {
    help: 'Instead of REDIS_URL: the host; or the nodes of a Cluster, or the Sentinels, separated by commas, each with its port.',
    example: 'redis.example.com',
  }),
  REDIS_PORT: documented(redisPort, {
    help: 'The port of those of REDIS_HOST that name none. Default: 6379, and 26379 for Sentinels.',
    example: '6379',
  }),
  REDIS_USERNAME: documented(z.string().optional(), {
    help: 'The user to sign in as at REDIS_HOST. Default: the default user.',
    example: 'atelier',
  }),
  REDIS_PASSWORD: documented(z.string().optional(), {
    help: 'The password to sign in with at REDIS_HOST.',
    example: 'password',
  }),
  REDIS_TLS: documented(z.stringbool().optional(), {
    help: 'Whether REDIS_HOST speaks TLS. Default: false.',
    example: 'true',
  }),
  REDIS_CA_FILE: documented(z.string().optional(), {
    help: 'A file with the certificates, in PEM, of a private authority that signed those of Redis. Default: the public ones.',
    example: '/etc/atelier/redis-ca.pem',
  }),
  REDIS_CLUSTER: documented(z.stringbool().optional(), {
    help: 'Whether it is a Redis Cluster, of which one node or several are named. Default: false.',
    example: 'true',
  }),
  REDIS_SENTINEL_NAME: documented(z.string().optional(), {
    help: 'The name of the primary when the hosts are Sentinels.',
    example: 'mymaster',
  }),
  REDIS_SENTINEL_PASSWORD: documented(z.string().optional(), {
    help: 'The password of the Sentinels themselves.',
    example: 'password',
  }),
  REDIS_PREFIX: documented(redisPrefix, {
    help: 'What the names of all keys in Redis begin with; each installation that shares a Redis needs its own.',
  }),
};

type RedisVariables = z.output<z.ZodObject<typeof redisVariables>>;

const SAID_BY_URL = [
  'REDIS_HOST',
  'REDIS_PORT',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_TLS',
] as const;
const NEEDS_AN_ADDRESS = [
  'REDIS_PORT',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_TLS',
  'REDIS_CA_FILE',
  'REDIS_CLUSTER',
  'REDIS_SENTINEL_NAME',
  'REDIS_SENTINEL_PASSWORD',
] as const;

/** Whether a Redis carries the jobs and counts for rate limits; else PostgreSQL does. */
export function namesRedis(env: Pick<RedisVariables, 'REDIS_URL' | 'REDIS_HOST'>): boolean {
  return env.REDIS_URL !== undefined || env.REDIS_HOST !== undefined;
}

/** What is half configured, or said twice: nobody could tell what was meant. */
export function redisMisfits(env: RedisVariables): Misfit[] {
  const isSet = (name: keyof RedisVariables) => env[name] !== undefined && env[name] !== false;
  if (!namesRedis(env)) {
    const message = 'is of no use without REDIS_URL or REDIS_HOST';
    return NEEDS_AN_ADDRESS.filter(isSet).map((name) => ({ name, message }));
  }
  const saidTwice = isSet('REDIS_URL') ? SAID_BY_URL.filter(isSet) : [];
  return [
    ...saidTwice.map((name) => ({ name, message: 'must not be set beside REDIS_URL' })),
    ...misfitsBy([...rulesOfAccess(env), ...rulesOfKind(env)]),
  ];
}

function rulesOfAccess(env: RedisVariables): Rule[] {
  const usesTls = env.REDIS_TLS === true || env.REDIS_URL?.startsWith('rediss:') === true;
  return [
    [
      env.REDIS_USERNAME !== undefined && env.REDIS_PASSWORD === undefined,
      'REDIS_PASSWORD',
      'is required with REDIS_USERNAME',
    ],
    [
      env.REDIS_CA_FILE !== undefined && !usesTls,
      'REDIS_CA_FILE',
      'needs TLS: a rediss:// URL or REDIS_TLS=true',
    ],
  ];
}

function rulesOfKind(env: RedisVariables): Rule[] {
  const isCluster = env.REDIS_CLUSTER === true;
  const hasSentinels = env.REDIS_SENTINEL_NAME !== undefined;
  const database = env.REDIS_URL ? Number(new URL(env.REDIS_URL).pathname.slice(1)) : 0;
  return [
    [
      (env.REDIS_HOST?.length ?? 0) > 1 && !isCluster && !hasSentinels,
      'REDIS_HOST',
      'names several hosts: set REDIS_CLUSTER=true or REDIS_SENTINEL_NAME, too',
    ],
    [isCluster && hasSentinels, 'REDIS_SENTINEL_NAME', 'must not be set beside REDIS_CLUSTER'],
    [
      isCluster && database !== 0,
      'REDIS_URL',
      'must name no database beside REDIS_CLUSTER: a Cluster has only one',
    ],
    [
      env.REDIS_SENTINEL_PASSWORD !== undefined && !hasSentinels,
      'REDIS_SENTINEL_PASSWORD',
      'is of no use without REDIS_SENTINEL_NAME',
    ],
  ];
}

function hostOf(text: string): RedisHost | undefined {
  const { host, port } = HOST.exec(text)?.groups ?? {};
  if (host === undefined || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) return undefined;
  return {
    host: withoutBrackets(host),
    port: port === undefined ? undefined : Number(port),
  };
}
