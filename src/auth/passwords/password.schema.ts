import { z } from 'zod';

const MAX_PASSWORD_LENGTH = 128;

/** Lone surrogates are all the same when they become bytes: two passwords would be one. */
export const password = z
  .string()
  .max(MAX_PASSWORD_LENGTH)
  .refine((value) => value.isWellFormed(), { error: 'must be well-formed Unicode' });

/** That of one's own account, where a session alone is not enough. */
export const ownPassword = password.optional().describe('Needed when the account has a password.');

/**
 * A password that someone chooses, and so one that must be long enough, and that not everybody tries
 * first.
 *
 * @param minLength in characters; at most 128 are taken
 * @param refused as {@link canonicalPassword} writes them
 */
export function newPassword(minLength: number, refused: ReadonlySet<string> = new Set()) {
  return password.min(minLength).refine((value) => !refused.has(canonicalPassword(value)), {
    error: 'is one of the most common passwords, which are tried first: choose another one',
  });
}

/** In one spelling, for what is no better a password when it is written otherwise. */
export function canonicalPassword(value: string): string {
  return value.normalize('NFKC').toLowerCase();
}
