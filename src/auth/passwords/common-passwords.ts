import { canonicalPassword } from './password.schema.js';

let list: Promise<ReadonlySet<string>> | undefined;

/**
 * The passwords that people choose most, 49,000 of them, as zxcvbn-ts has gathered them. They are
 * loaded when somebody chooses a password first: few processes are ever asked.
 */
export function commonPasswords(): Promise<ReadonlySet<string>> {
  list ??= load();
  return list;
}

async function load(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common');
  return new Set(dictionary['passwords-common'].map(canonicalPassword));
}
