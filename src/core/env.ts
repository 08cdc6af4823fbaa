import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { databaseVariables } from './env/database.js';
import { fileVariables } from './env/files.js';
import { GEMINI_DEFAULTS, generationMisfits, generationVariables } from './env/generation.js';
import { googleMisfits, googleVariables } from './env/google.js';
import { httpVariables } from './env/http.js';
import { limitVariables } from './env/limits.js';
import { mailMisfits, mailVariables } from './env/mail.js';
import { processMisfits, processVariables } from './env/process.js';
import { queueVariables } from './env/queue.js';
import { rateLimitMisfits, rateLimitVariables } from './env/rate-limits.js';
import { redisMisfits } from './env/redis.js';
import { s3Misfits } from './env/s3.js';
import { signInMisfits, signInVariables } from './env/sign-in.js';
import { telemetryVariables } from './env/telemetry.js';

/**
 * The environment: the one place where variables are named, documented, parsed and defaulted.
 *
 * `.env.example` and docs/configuration.md are made from this schema. Entry points call
 * {@link readEnv} once and hand the result on; nothing else reads `process.env`.
 */

/** The variables under their headings, in the order in which they are documented. */
export const ENV_SECTIONS: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  Process: processVariables,
  HTTP: httpVariables,
  'Secrets and sign-in': signInVariables,
  'Google sign-in': googleVariables,
  Database: databaseVariables,
  'Queue and worker': queueVariables,
  Files: fileVariables,
  'Picture generation': generationVariables,
  Mail: mailVariables,
  Limits: limitVariables,
  'Rate limits': rateLimitVariables,
  'Metrics and traces': telemetryVariables,
};

const variables = z.object({
  ...processVariables,
  ...httpVariables,
  ...signInVariables,
  ...googleVariables,
  ...databaseVariables,
  ...queueVariables,
  ...fileVariables,
  ...generationVariables,
  ...mailVariables,
  ...limitVariables,
  ...rateLimitVariables,
  ...telemetryVariables,
});

/** The variables by name. */
export const envVariables: Readonly<Record<string, z.ZodType>> = variables.shape;

const environment = variables.superRefine((env, context) => {
  const misfits = [
    ...processMisfits(env),
    ...signInMisfits(env),
    ...redisMisfits(env),
    ...s3Misfits(env),
    ...rateLimitMisfits(env),
    ...mailMisfits(env),
    ...googleMisfits(env),
    ...generationMisfits(env),
  ];
  for (const { name, message } of misfits) {
    context.addIssue({ code: 'custom', path: [name], message });
  }
});

/** The parsed environment of one process. */
export type Env = Readonly<
  Omit<
    z.output<typeof variables>,
    | 'PUBLIC_URL'
    | 'APP_URL'
    | 'GOOGLE_CALLBACK_URL'
    | 'GEMINI_IMAGE_MODEL'
    | 'GEMINI_BASE_URL'
    | 'PASSWORD_MIN_LENGTH'
    | 'PASSWORD_HASHES_AT_ONCE'
  > & {
    PUBLIC_URL: string;
    APP_URL: string;
    GOOGLE_CALLBACK_URL: string;
    GEMINI_IMAGE_MODEL: string;
    GEMINI_BASE_URL: string;
    PASSWORD_MIN_LENGTH: number;
    PASSWORD_HASHES_AT_ONCE: number;
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
  const publicUrl = env.PUBLIC_URL ?? `http://localhost:${env.PORT}`;
  return Object.freeze({
    ...env,
    PUBLIC_URL: publicUrl,
    APP_URL: env.APP_URL ?? publicUrl,
    GOOGLE_CALLBACK_URL: env.GOOGLE_CALLBACK_URL ?? `${publicUrl}/api/v1/auth/google/callback`,
    GEMINI_IMAGE_MODEL: env.GEMINI_IMAGE_MODEL ?? GEMINI_DEFAULTS.model,
    GEMINI_BASE_URL: env.GEMINI_BASE_URL ?? GEMINI_DEFAULTS.baseUrl,
    PASSWORD_MIN_LENGTH: env.PASSWORD_MIN_LENGTH ?? (env.NODE_ENV === 'production' ? 8 : 6),
    // The event loop and the database need a core as well: docs/decisions.md.
    PASSWORD_HASHES_AT_ONCE: env.PASSWORD_HASHES_AT_ONCE ?? Math.min(availableParallelism(), 3),
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
