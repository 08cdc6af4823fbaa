import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { Problem } from '../../core/problems/problem.js';
import { runInContext } from '../../core/request-context.js';
import { Passwords } from './passwords.js';

const PASSWORD = 'correct horse battery';

const opened: Passwords[] = [];

function passwords(variables: object = {}): Passwords {
  const env = { NODE_ENV: 'production', PASSWORD_MIN_LENGTH: 8, PASSWORD_HASHES_AT_ONCE: 1 };
  const service = new Passwords({ ...env, ...variables } as never);
  opened.push(service);
  return service;
}

/** What somebody is told of the password that they chose. */
async function refusalOf(password: string, variables?: object): Promise<string | undefined> {
  const chosen = passwords(variables).choose(password, 'body.password');
  return chosen.then(
    () => undefined,
    (error: unknown) => {
      const [first] = (error as Problem).errors ?? [];
      return `${first?.path} ${first?.message}`;
    },
  );
}

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(opened.splice(0).map((service) => service.onApplicationShutdown()));
});

describe('a password that somebody chooses', () => {
  it.each(['password', 'PassWord1', '12345678', 'QWERTYUIOP', 'ｐａｓｓｗｏｒｄ', 'iloveyou'])(
    'is refused in production when it is %s',
    async (password) => {
      expect(await refusalOf(password)).toMatch(/^body\.password is one of the most common/);
    },
  );

  it('is not refused for what is in it', async () => {
    expect(await refusalOf('password of the heron')).toBeUndefined();
  });

  it.each(['test123', 'password'])('may be %s where nothing is at stake', async (password) => {
    const variables = { NODE_ENV: 'development', PASSWORD_MIN_LENGTH: 6 };
    expect(await refusalOf(password, variables)).toBeUndefined();
  });
});

describe('hashing', () => {
  it('verifies what it hashed, and nothing for who has no hash', async () => {
    const service = passwords();
    const stored = await service.choose(PASSWORD, 'body.password');
    expect(await service.verify(stored, PASSWORD)).toBe(true);
    expect(await service.verify(stored, `${PASSWORD}!`)).toBe(false);
    expect(await service.verify(null, PASSWORD)).toBe(false);
    expect(await service.verify(undefined, '')).toBe(false);
  });

  it('takes the same work for who has no hash', async () => {
    const service = passwords();
    const stored = await service.choose(PASSWORD, 'body.password');
    const workOf = async (hash: string | null) => {
      const before = process.cpuUsage();
      await service.verify(hash, 'another password');
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    let [none, some] = [0, 0];
    for (let round = 0; round < 20; round += 1) {
      none += await workOf(null);
      some += await workOf(stored);
    }
    const ratio = none / some;
    expect(ratio).toBeGreaterThan(0.5);
    expect(ratio).toBeLessThan(2);
  });

  it('is not done for a client that has gone', async () => {
    const service = passwords();
    const connection = { destroyed: false };
    const first = [service.verify(null, PASSWORD), service.verify(null, PASSWORD)];
    const gone = runInContext({ connection }, () => service.verify(null, PASSWORD));
    connection.destroyed = true;
    await expect(gone).rejects.toThrow('The client went away.');
    expect(await Promise.all(first)).toEqual([false, false]);
    expect(await service.verify(null, PASSWORD)).toBe(false);
  });

  it('is refused after waiting in vain, and goes on for the others', async () => {
    const service = passwords();
    const waited = new AbortController();
    const first = [service.verify(null, PASSWORD), service.verify(null, PASSWORD)];
    jest.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(waited.signal);
    const second = service.verify(null, PASSWORD);
    const third = service.verify(null, PASSWORD);
    waited.abort();
    const refusal = await second.catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'unavailable', headers: { 'retry-after': '5' } });
    expect(await Promise.all([...first, third])).toEqual([false, false, false]);
  });
});
