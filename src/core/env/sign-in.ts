import type { z } from 'zod';
import { documented } from './documented.js';
import { type Misfit, misfitsBy } from './misfits.js';
import {
  adminToken,
  isGuessable,
  isShortForProduction,
  secret,
  secrets,
  whole,
  wholeNumber,
} from './values.js';

export const signInVariables = {
  APP_SECRET: documented(secret, {
    help: 'Signs file URLs and cookies, and encrypts the secrets of authenticators: another one makes them useless. At least 32 bytes. `npm start` makes one and keeps it.',
    example: '<openssl rand -base64 48>',
  }),
  JWT_SECRET: documented(secret, {
    help: 'Signs access tokens: its UTF-8 bytes are the HS256 key. At least 32 bytes. `npm start` makes one and keeps it.',
    example: '<openssl rand -base64 48>',
  }),
  JWT_PREVIOUS_SECRETS: documented(secrets, {
    help: 'Former values of JWT_SECRET, separated by commas: what they signed stays good. For changing it without signing anybody out; drop them after REFRESH_TOKEN_DAYS.',
  }),
  ACCESS_TOKEN_SECONDS: documented(whole(900, { min: 30, max: 86_400 }), {
    help: 'How long an access token is valid, in seconds.',
  }),
  REFRESH_TOKEN_DAYS: documented(whole(30, { min: 1, max: 365 }), {
    help: 'After how many days without a refresh a session ends.',
  }),
  PASSWORD_MIN_LENGTH: documented(wholeNumber({ min: 1, max: 128 }).optional(), {
    help: 'The least number of characters in a password. Default: 6, and 8 in production.',
    example: '8',
  }),
  PASSWORD_HASHES_AT_ONCE: documented(wholeNumber({ min: 1, max: 64 }).optional(), {
    help: 'How many passwords one API process hashes at once, each with a core and 19 MB of its own; others wait for 5 seconds, and are refused then (503). Default: one for each core, and 3 at the most.',
    example: '2',
  }),
  ADMIN_TOKEN: documented(adminToken.optional(), {
    help: 'Opens the routes of administrators, and no others, to who sends it as `Authorization: Bearer` or `x-admin-token`. At least 32 characters in production. Default: administrators sign in.',
    example: '<openssl rand -base64 48>',
  }),
};

/** Secrets that are too weak for production, or stand for each other. */
export function signInMisfits(
  env: z.output<z.ZodObject<typeof signInVariables>> & {
    NODE_ENV: string;
    METRICS_TOKEN?: string | undefined;
  },
): Misfit[] {
  const { APP_SECRET, JWT_SECRET, ADMIN_TOKEN, METRICS_TOKEN } = env;
  const others = [APP_SECRET, JWT_SECRET, METRICS_TOKEN];
  const isReused = ADMIN_TOKEN !== undefined && others.includes(ADMIN_TOKEN);
  const misfits = misfitsBy([[isReused, 'ADMIN_TOKEN', 'must differ from all other secrets']]);
  return env.NODE_ENV === 'production' ? [...misfits, ...weakSecrets(env)] : misfits;
}

function weakSecrets({
  APP_SECRET,
  JWT_SECRET,
  ADMIN_TOKEN = '',
}: z.output<z.ZodObject<typeof signInVariables>>): Misfit[] {
  const isShort = ADMIN_TOKEN !== '' && isShortForProduction(ADMIN_TOKEN);
  return misfitsBy([
    [isGuessable(APP_SECRET), 'APP_SECRET', 'is too easy to guess'],
    [isGuessable(JWT_SECRET), 'JWT_SECRET', 'is too easy to guess'],
    [isGuessable(ADMIN_TOKEN), 'ADMIN_TOKEN', 'is too easy to guess'],
    [isShort, 'ADMIN_TOKEN', 'must be at least 32 characters in production'],
    [APP_SECRET === JWT_SECRET, 'JWT_SECRET', 'must differ from APP_SECRET'],
  ]);
}
