import { hashSync, type Options, verifySync } from '@node-rs/argon2';

/** Each takes its thread for ten milliseconds or more. */

export interface HashTask {
  password: string;
  options: Options;
}

export interface VerifyTask {
  password: string;
  /** With salt and parameters. */
  stored: string;
}

export function hash({ password, options }: HashTask): string {
  return hashSync(password, options);
}

export function verify({ password, stored }: VerifyTask): boolean {
  return verifySync(stored, password);
}
