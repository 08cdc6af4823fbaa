import { threadId } from 'node:worker_threads';

/** In the place of argon2: tells which thread has looked at a password. */
export function verify(): { threadId: number } {
  // For so long that the other threads get some as well.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  return { threadId };
}
