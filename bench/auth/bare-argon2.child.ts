import { hash, verify } from '@node-rs/argon2';

/** The parameters of the product, which are those of OWASP: src/auth/passwords/passwords.ts. */
const ARGON2ID = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };

/**
 * What signing in is measured against: passwords are verified, so many at once, and nothing else is
 * done. Its threads are Node's, as many as `UV_THREADPOOL_SIZE` says, and never wait: there are two
 * passwords for each.
 */

export interface BareTask {
  atOnce: number;
  seconds: number;
}

export interface BareResult {
  verified: number;
  seconds: number;
}

const PASSWORD = 'correct horse battery';
const hashed = hash(PASSWORD, ARGON2ID);

process.on('message', (task: BareTask) => {
  void run(task).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit());
await hashed;
process.send?.('ready');

async function run({ atOnce, seconds }: BareTask): Promise<BareResult> {
  const stored = await hashed;
  const startedAt = performance.now();
  let verified = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() - startedAt < seconds * 1_000) {
      if (!(await verify(stored, PASSWORD))) throw new Error('The password is not the right one.');
      verified += 1;
    }
  };
  await Promise.all(Array.from({ length: 2 * atOnce }, lane));
  return { verified, seconds: (performance.now() - startedAt) / 1_000 };
}
