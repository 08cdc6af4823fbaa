import { jest } from '@jest/globals';
import { Passwords } from '../src/auth/passwords/passwords.js';
import type { TestingApp } from './testing-app.js';

/**
 * Holds the next password that the API verifies, as a machine does that is busy just then.
 *
 * @returns what waits until it is verified, and what lets its request go on
 */
export function holdNextPassword(app: TestingApp): {
  verified: Promise<undefined>;
  release: () => void;
} {
  const passwords = app.app.get(Passwords, { strict: false });
  const verify = passwords.verify.bind(passwords);
  const verified = Promise.withResolvers<undefined>();
  const released = Promise.withResolvers<undefined>();
  const spy = jest.spyOn(passwords, 'verify').mockImplementationOnce(async (stored, password) => {
    spy.mockRestore();
    const isRight = await verify(stored, password);
    verified.resolve(undefined);
    await released.promise;
    return isRight;
  });
  return {
    verified: verified.promise,
    release: () => {
      released.resolve(undefined);
    },
  };
}
