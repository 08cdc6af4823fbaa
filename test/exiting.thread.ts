/** In the place of argon2: a thread that dies with its first password. */
export function verify(): never {
  process.exit(1);
}
