import { hash, verify } from '@node-rs/argon2';

/**
 * argon2id with the parameters that OWASP recommends first:
 * https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
 */
const ARGON2ID = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };

/** A hash of no account's password, so that unknown addresses take as long as known ones. */
let decoy: Promise<string> | undefined;

/** The hash to store for a password, with its salt and parameters. */
export function hashPassword(password: string): Promise<string> {
  return hash(password.normalize('NFKC'), ARGON2ID);
}

/**
 * Whether a password belongs to a stored hash. Takes the same time when there is no hash.
 *
 * @param stored undefined or null for an account that does not exist or has no password
 */
export async function verifyPassword(
  stored: string | null | undefined,
  password: string,
): Promise<boolean> {
  decoy ??= hashPassword('no account has this password');
  const matches = await verify(stored ?? (await decoy), password.normalize('NFKC'));
  return matches && stored != null;
}
