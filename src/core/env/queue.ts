import { z } from 'zod';
import { documented, MINUTES, SECONDS } from './documented.js';
import { redisHosts, redisPort, redisPrefix, redisUrl } from './redis-address.js';
import { whole } from './values.js';

export const queueVariables = {
  REDIS_URL: documented(redisUrl, {
    help: 'Redis 6.2 or later, or Valkey, that carries the jobs, redis:// or rediss:// for TLS, with the number of a database as its path. Default: PostgreSQL carries them.',
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
  QUEUE_PER_OWNER: documented(whole(8, { min: 1, max: 10_000 }), {
    help: 'How many rows of one owner may be in a queue at once; the rest wait their turn in the database.',
  }),
  RECONCILE_EVERY_MS: documented(whole(2 * SECONDS, { min: 100, max: 1 * MINUTES }), {
    help: 'How often the worker looks for rows that are due and not in a queue, in milliseconds.',
  }),
  IMAGE_CONCURRENCY: documented(whole(2, { min: 1, max: 64 }), {
    help: 'How many images one worker converts at once, each in a child process of its own.',
  }),
  DECODE_MEMORY_MB: documented(whole(1_200, { min: 128, max: 1024 * 1024 }), {
    help: 'What the pictures that one worker decodes at once may take in memory, as estimated, in MiB; a larger one is decoded alone.',
  }),
  IMAGE_AVIF: documented(z.stringbool().default(false), {
    help: 'Whether variants are made as AVIF, too, for clients that accept it; takes twice the CPU.',
  }),
  WEBP_EFFORT: documented(whole(2, { min: 0, max: 6 }), {
    help: 'CPU spent on each variant, from 0 (fastest) to 6 (smallest).',
  }),
  WEBP_QUALITY: documented(whole(80, { min: 1, max: 100 }), {
    help: 'Quality of the variants, from 1 to 100.',
  }),
};
