import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Argon2Threads } from './argon2-threads.js';

const CHEAP = { memoryCost: 8, timeCost: 1 };

let threads: Argon2Threads;

afterEach(() => threads.close());

const testModule = (name: string) =>
  fileURLToPath(new URL(`../../../test/${name}`, import.meta.url));

/** Those of as many passwords that were verified, or the code of why one was not. */
async function verifyMany(count: number): Promise<unknown[]> {
  return Promise.all(
    Array.from({ length: count }, () =>
      threads.verify('', '').catch((error: unknown) => (error as { code?: string }).code),
    ),
  );
}

describe('threads for passwords', () => {
  it('hash and verify', async () => {
    threads = new Argon2Threads(2);
    const stored = await threads.hash('one', CHEAP);
    expect(await threads.verify(stored, 'one')).toBe(true);
    expect(await threads.verify(stored, 'other')).toBe(false);
  });

  it('are no more than they may be, however many passwords there are', async () => {
    threads = new Argon2Threads(2, testModule('counting.thread.ts'));
    const times = (await verifyMany(12)) as { threadId: number }[];
    expect(new Set(times.map(({ threadId }) => threadId)).size).toBe(2);
  });

  it('go on after what is no hash', async () => {
    threads = new Argon2Threads(1);
    await expect(threads.verify('no hash', 'one')).rejects.toMatchObject({
      code: 'PasswordThread',
    });
    const stored = await threads.hash('one', CHEAP);
    expect(await threads.verify(stored, 'one')).toBe(true);
  });

  it.each([
    [1, 'dies with a password', testModule('exiting.thread.ts')],
    [3, 'dies with a password', testModule('exiting.thread.ts')],
    [1, 'cannot begin', testModule('none.thread.ts')],
    [3, 'cannot begin', testModule('none.thread.ts')],
  ])(
    'leave nobody waiting when each of %d %s, nor who comes after',
    async (count, _what, module) => {
      threads = new Argon2Threads(count, module);
      for (let round = 0; round < 3; round += 1) {
        expect(await verifyMany(10)).toEqual(Array(10).fill('PasswordThread'));
      }
    },
  );

  it('work again once they can begin', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'threads-'));
    const module = join(folder, 'late.thread.ts');
    threads = new Argon2Threads(2, module);
    expect(await verifyMany(3)).toEqual(Array(3).fill('PasswordThread'));
    await writeFile(module, 'export const verify = () => true;');
    expect(await verifyMany(3)).toEqual(Array(3).fill(true));
    await rm(folder, { recursive: true });
  });
});
