import { z } from 'zod';

const MAX_PASSWORD_LENGTH = 128;

/** Lone surrogates are all the same when they become bytes: two passwords would be one. */
export const password = z
  .string()
  .max(MAX_PASSWORD_LENGTH)
  .refine((value) => value.isWellFormed(), { error: 'must be well-formed Unicode' });

/**
 * A password that someone chooses, and so one that must be long enough.
 *
 * @param minLength in characters; at most 128 are taken
 */
export function newPassword(minLength: number) {
  return password.min(minLength);
}
