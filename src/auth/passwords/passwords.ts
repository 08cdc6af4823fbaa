import { randomBytes } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Admission } from '../../core/admission.js';
import { ENV, type Env } from '../../core/env.js';
import { parseOrRefuse } from '../../core/http/validation.js';
import { malformed, Problem, unavailable } from '../../core/problems/problem.js';
import { isClientGone } from '../../core/request-context.js';
import { Argon2Threads, PASSWORDS_PER_THREAD } from './argon2-threads.js';
import { commonPasswords } from './common-passwords.js';
import { newPassword } from './password.schema.js';

/**
 * argon2id with the parameters that OWASP recommends first:
 * https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
 */
const ARGON2ID = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };
const MEMORY_MB = 19;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** How long a password waits for its turn, in milliseconds. */
const WAIT_MS = 5_000;
const RETRY_AFTER_SECONDS = '5';

/** The hash of a password that nobody knows, so that unknown addresses take the same work. */
const DECOY = [
  '$argon2id$v=19',
  `m=${ARGON2ID.memoryCost},t=${ARGON2ID.timeCost},p=${ARGON2ID.parallelism}`,
  ...[SALT_BYTES, HASH_BYTES].map((length) =>
    randomBytes(length).toString('base64').replace(/=+$/, ''),
  ),
].join('$');

/**
 * Chooses, hashes and verifies passwords, few at once: each takes a core for ten milliseconds or more.
 *
 * Who waited in vain, or went away meanwhile, is not hashed for.
 */
@Injectable()
export class Passwords implements OnApplicationShutdown {
  private readonly threads: Argon2Threads;
  private readonly turns: Admission;

  constructor(@Inject(ENV) private readonly env: Env) {
    const { PASSWORD_HASHES_AT_ONCE: threads } = env;
    this.threads = new Argon2Threads(threads);
    this.turns = new Admission(threads * PASSWORDS_PER_THREAD, Infinity);
  }

  /**
   * Takes a password that somebody chooses. @returns the hash to store, with its salt and parameters
   *
   * @param at where it stood in the request: `body.password`, …
   * @throws Problem `validation-failed` when it is too short, or so common that it is tried first;
   * `unavailable`
   */
  async choose(password: string, at: string): Promise<string> {
    const { NODE_ENV, PASSWORD_MIN_LENGTH } = this.env;
    const refused = NODE_ENV === 'production' ? await commonPasswords() : undefined;
    parseOrRefuse(newPassword(PASSWORD_MIN_LENGTH, refused), password, at);
    return this.inTurn(() => this.threads.hash(password.normalize('NFKC'), ARGON2ID));
  }

  /**
   * Whether a password belongs to a stored hash. Takes the same work when there is no hash.
   *
   * @param stored undefined or null for an account that does not exist or has no password
   * @throws Problem `unavailable` when there are too many to verify
   */
  async verify(stored: string | null | undefined, password: string): Promise<boolean> {
    const matches = await this.inTurn(() =>
      this.threads.verify(stored ?? DECOY, password.normalize('NFKC')),
    );
    return matches && stored != null;
  }

  onApplicationShutdown(): Promise<void> {
    return this.threads.close();
  }

  private async inTurn<T>(work: () => Promise<T>): Promise<T> {
    await this.turns.enter(MEMORY_MB, AbortSignal.timeout(WAIT_MS)).catch((cause: unknown) => {
      throw new Problem(unavailable, 'Too many are signing in.', {
        cause,
        headers: { 'retry-after': RETRY_AFTER_SECONDS },
      });
    });
    try {
      // Nobody hears it.
      if (isClientGone()) throw new Problem(malformed, 'The client went away.');
      return await work();
    } finally {
      this.turns.leave(MEMORY_MB);
    }
  }
}
