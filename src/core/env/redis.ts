import { z } from 'zod';
import { wholeNumber } from './values.js';

/** One address of a Redis, a node of a Cluster, or a Sentinel. */
export interface RedisHost {
  readonly host: string;
  /** Undefined when REDIS_PORT tells it, or the default. */
  readonly port: number | undefined;
}

const HOST = /^(?<host>\[[0-9a-f:.]+\]|[^\s:/@,[\]]+)(?::(?<port>\d{1,5}))?$/i;

/** `redis://` or `rediss://`, with the number of a database as its path. */
export const redisUrl = z
  .url({
    protocol: /^rediss?$/,
    error: 'must be a redis:// or rediss:// URL, such as rediss://user:password@host:6379/0',
  })
  .refine((value) => /^\/?\d{0,5}$/.test(new URL(value).pathname), {
    error: 'must have nothing but the number of a database as its path',
  })
  .refine((value) => new URL(value).hostname !== '', { error: 'must name a host' })
  .refine((value) => isEscaped(new URL(value)), {
    error: 'must have its user and password escaped: % as %25, @ as %40',
  })
  .refine((value) => new URL(value).search === '' && new URL(value).hash === '', {
    error: 'must have no parameters: use REDIS_CA_FILE, REDIS_CLUSTER and the others',
  })
  .optional();

/** Hosts separated by commas, each with a port of its own if it has one. */
export const redisHosts = z
  .string()
  .transform((value) => value.split(',').map((part) => hostOf(part.trim())))
  .refine((hosts) => hosts.every((host) => host !== undefined), {
    error: 'must be a host, or several such as a:6379,b:6379, separated by commas',
  })
  .transform((hosts) => hosts.filter((host) => host !== undefined))
  .optional();

export const redisPort = wholeNumber({ min: 1, max: 65_535 }).optional();

/** What Redis calls a hash tag would bind keys together by surprise, so braces are refused. */
export const redisPrefix = z
  .string()
  .regex(/^[\w.:-]{1,100}$/, 'must be letters, digits and any of . : _ -')
  .default('atelier');

interface RedisVariables {
  REDIS_URL?: string | undefined;
  REDIS_HOST?: readonly RedisHost[] | undefined;
  REDIS_PORT?: number | undefined;
  REDIS_USERNAME?: string | undefined;
  REDIS_PASSWORD?: string | undefined;
  REDIS_TLS?: boolean | undefined;
  REDIS_CA_FILE?: string | undefined;
  REDIS_CLUSTER?: boolean | undefined;
  REDIS_SENTINEL_NAME?: string | undefined;
  REDIS_SENTINEL_PASSWORD?: string | undefined;
}

/** A variable that does not fit the others. */
interface Misfit {
  name: keyof RedisVariables;
  message: string;
}

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

/** What is half configured, or said twice: nobody could tell what was meant. */
export function redisMisfits(env: RedisVariables): Misfit[] {
  const isSet = (name: keyof RedisVariables) => env[name] !== undefined && env[name] !== false;
  const misfits: Misfit[] = [];
  const refuse = (isWrong: boolean, name: keyof RedisVariables, message: string): void => {
    if (isWrong) misfits.push({ name, message });
  };
  if (!env.REDIS_URL && !env.REDIS_HOST) {
    for (const name of NEEDS_AN_ADDRESS) {
      refuse(isSet(name), name, 'is of no use without REDIS_URL or REDIS_HOST');
    }
    return misfits;
  }
  for (const name of SAID_BY_URL) {
    refuse(isSet('REDIS_URL') && isSet(name), name, 'must not be set beside REDIS_URL');
  }
  const isSeveral = isSet('REDIS_CLUSTER') || isSet('REDIS_SENTINEL_NAME');
  const usesTls = env.REDIS_TLS === true || env.REDIS_URL?.startsWith('rediss:') === true;
  const database = env.REDIS_URL ? Number(new URL(env.REDIS_URL).pathname.slice(1)) : 0;
  refuse(
    (env.REDIS_HOST?.length ?? 0) > 1 && !isSeveral,
    'REDIS_HOST',
    'names several hosts: set REDIS_CLUSTER=true or REDIS_SENTINEL_NAME, too',
  );
  refuse(
    isSet('REDIS_USERNAME') && !isSet('REDIS_PASSWORD'),
    'REDIS_PASSWORD',
    'is required with REDIS_USERNAME',
  );
  refuse(
    isSet('REDIS_CA_FILE') && !usesTls,
    'REDIS_CA_FILE',
    'needs TLS: a rediss:// URL or REDIS_TLS=true',
  );
  refuse(
    isSet('REDIS_CLUSTER') && isSet('REDIS_SENTINEL_NAME'),
    'REDIS_SENTINEL_NAME',
    'must not be set beside REDIS_CLUSTER',
  );
  refuse(
    isSet('REDIS_CLUSTER') && database !== 0,
    'REDIS_URL',
    'must name no database beside REDIS_CLUSTER: a Cluster has only one',
  );
  refuse(
    isSet('REDIS_SENTINEL_PASSWORD') && !isSet('REDIS_SENTINEL_NAME'),
    'REDIS_SENTINEL_PASSWORD',
    'is of no use without REDIS_SENTINEL_NAME',
  );
  return misfits;
}

function hostOf(text: string): RedisHost | undefined {
  const { host, port } = HOST.exec(text)?.groups ?? {};
  if (host === undefined || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) return undefined;
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? undefined : Number(port),
  };
}

function isEscaped({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}
