import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';

/**
 * The part of the Compose Specification that docker/compose.yaml uses. Everything is strict: a key
 * that is misspelt, or that nobody has thought about here, fails.
 */
const bytes = z.string().regex(/^\d+(b|k|m|g)$/);
const duration = z.string().regex(/^(\d+h)?(\d+m)?(\d+(\.\d+)?s)?$/);
const words = z.array(z.string().min(1)).min(1);
/** With quotes where YAML would read a boolean or a number. */
const environment = z.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), z.string());

const healthcheck = z.union([
  z.strictObject({ disable: z.literal(true) }),
  z.strictObject({
    test: z.tuple([z.enum(['CMD', 'CMD-SHELL'])], z.string()),
    interval: duration,
    timeout: duration,
    retries: z.int().positive(),
    start_period: duration.optional(),
  }),
]);

const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  profiles: words.optional(),
  user: z
    .string()
    .regex(/^\d+:\d+$/)
    .optional(),
  entrypoint: words.optional(),
  command: words.optional(),
  environment,
  volumes: words.optional(),
  tmpfs: words.optional(),
  ports: words.optional(),
  networks: words,
  depends_on: z
    .record(
      z.string(),
      z.strictObject({
        condition: z.enum(['service_healthy', 'service_completed_successfully']),
      }),
    )
    .optional(),
  healthcheck: healthcheck.optional(),
  mem_limit: bytes,
  shm_size: bytes.optional(),
  pids_limit: z.int().positive(),
  read_only: z.boolean(),
  cap_drop: words,
  security_opt: words,
  restart: z.string().regex(/^(unless-stopped|on-failure:\d+)$/),
  stop_grace_period: duration.optional(),
  logging: z.strictObject({
    driver: z.literal('json-file'),
    options: z.strictObject({ 'max-size': bytes, 'max-file': z.string().regex(/^\d+$/) }),
  }),
});

/** A service of compose.yaml with its merge keys resolved. */
export type ComposeService = z.infer<typeof service>;

const composeFile = z
  .looseObject({
    name: z.string(),
    services: z.record(z.string(), service),
    networks: z.record(z.string(), z.strictObject({ internal: z.boolean() }).nullable()),
    volumes: z.record(z.string(), z.null()),
  })
  .refine(
    (file) =>
      Object.keys(file).every(
        (key) => key.startsWith('x-') || ['name', 'services', 'networks', 'volumes'].includes(key),
      ),
    'has a key that Compose does not know',
  );

export type ComposeFile = z.infer<typeof composeFile>;

/** @throws with every key that is wrong */
export function parseCompose(text: string): ComposeFile {
  return composeFile.parse(parse(text, { merge: true }));
}

export async function readCompose(): Promise<ComposeFile> {
  return parseCompose(await readFile('docker/compose.yaml', 'utf8'));
}

/** In seconds. */
export function seconds(text: string): number {
  const [, hours = 0, minutes = 0, rest = 0] =
    /^(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?$/.exec(text) ?? [];
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(rest);
}
