import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { CannotStart } from '../process/cannot-start.js';
import type { Env } from '../env.js';
import { namesRedis } from '../env/redis.js';
import { withoutBrackets } from '../env/url-host.js';

const SERVER_PORT = 6379;
const SENTINEL_PORT = 26_379;

/** Where Redis is, what it is, and how to sign in. */
export interface RedisAddress {
  readonly kind: 'server' | 'cluster' | 'sentinel';
  /** The server, nodes of the Cluster, or Sentinels. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** What ioredis takes for each server, in every kind. */
  readonly access: {
    readonly username?: string;
    readonly password?: string;
    readonly db: number;
    readonly tls?: ConnectionOptions;
  };
  readonly sentinel: { readonly name: string; readonly password: string | undefined } | undefined;
}

/**
 * The Redis that the environment names.
 *
 * @returns undefined when it names none
 * @throws CannotStart when REDIS_CA_FILE cannot be used
 */
export function redisAddress(env: Env): RedisAddress | undefined {
  if (!namesRedis(env)) return undefined;
  const url = env.REDIS_URL === undefined ? undefined : new URL(env.REDIS_URL);
  const username = url ? decodeURIComponent(url.username) : env.REDIS_USERNAME;
  const password = url ? decodeURIComponent(url.password) : env.REDIS_PASSWORD;
  const usesTls = url ? url.protocol === 'rediss:' : env.REDIS_TLS === true;
  const sentinel =
    env.REDIS_SENTINEL_NAME === undefined
      ? undefined
      : { name: env.REDIS_SENTINEL_NAME, password: env.REDIS_SENTINEL_PASSWORD };
  return {
    kind: env.REDIS_CLUSTER ? 'cluster' : sentinel ? 'sentinel' : 'server',
    hosts: hostsOf(env, url, sentinel ? SENTINEL_PORT : SERVER_PORT),
    access: {
      ...(username && { username }),
      ...(password && { password }),
      db: Number(url?.pathname.slice(1) ?? 0),
      ...(usesTls && { tls: authoritiesOf(env.REDIS_CA_FILE) }),
    },
    sentinel,
  };
}

function hostsOf(env: Env, url: URL | undefined, defaultPort: number): RedisAddress['hosts'] {
  if (url) {
    return [{ host: withoutBrackets(url.hostname), port: Number(url.port) || defaultPort }];
  }
  return (env.REDIS_HOST ?? []).map(({ host, port }) => ({
    host,
    port: port ?? env.REDIS_PORT ?? defaultPort,
  }));
}

function authoritiesOf(file: string | undefined): ConnectionOptions {
  if (file === undefined) return {};
  try {
    const ca = readFileSync(file, 'utf8');
    // One that is no certificate would be ignored, and every connection refused for it.
    new X509Certificate(ca);
    return { ca };
  } catch (error) {
    throw new CannotStart(
      `REDIS_CA_FILE cannot be used: ${(error as NodeJS.ErrnoException).code ?? 'no certificate'}`,
    );
  }
}
