import { z } from 'zod';
import { documented, MINUTES, SECONDS } from './documented.js';
import { redisVariables } from './redis.js';
import { whole } from './values.js';

export const queueVariables = {
  ...redisVariables,
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
