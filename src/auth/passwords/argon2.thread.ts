import { hashSync, type Options, verifySync } from '@node-rs/argon2';

export interface HashTask {
  password: string;
  options: Options;
}

export interface VerifyTask {
  password: string;
  /** With salt and parameters. */
  stored: string;
}

/** Takes the thread for ten milliseconds or more. */
export function hash({ password, options }: HashTask): string {
  return hashSync(password, options);
}

/** Takes the thread for as long as {@link hash} did. */
export function verify({ password, stored }: VerifyTask): boolean {
  return verifySync(stored, password);
}
