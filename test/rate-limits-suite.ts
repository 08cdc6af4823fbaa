import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { anEmail, byStatus, from, manyTimes, send, signIn } from './guesses.js';
import { ProductProcess } from './product-process.js';
import { TestingApp } from './testing-app.js';

const FAILURES = 7;
const CALLS = 40;
const ADMIN_TOKEN = 'of-the-administrators-of-this-test';
const WRONG_ADMIN_TOKENS = 10;

/** What limits have to do wherever they are counted. @param settings what chooses where that is */
export function testSharedLimits(
  settings: () => Promise<{
    variables: Record<string, string>;
    endMinute(app: TestingApp): Promise<unknown>;
  }>,
): void {
  let app: TestingApp;
  let other: ProductProcess;
  let urls: string[];
  let endMinute: () => Promise<unknown>;

  beforeAll(async () => {
    const given = await settings();
    const variables = {
      ...given.variables,
      RATE_LIMITS: 'on',
      FAILED_SIGN_INS_PER_MINUTE: String(FAILURES),
      SIGN_IN_CALLS_PER_MINUTE: String(CALLS),
      USER_REQUESTS_PER_MINUTE: '50',
      TRUST_PROXY: '127.0.0.1',
      ADMIN_TOKEN,
    };
    app = await TestingApp.start({ worker: false, variables });
    const { api, url } = await ProductProcess.startApi(app.variables);
    other = api;
    urls = [app.url, url];
    endMinute = () => given.endMinute(app);
  });

  afterAll(async () => {
    await other.kill();
    await app.close();
  });

  const either = (index: number) => urls[index % urls.length]!;

  describe('two processes', () => {
    it('take exactly as many failures of one account as are allowed, from sixty at once', async () => {
      const { email, password } = await app.register();
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, index) =>
          signIn(either(index), { email, password: `wrong ${index}` }, from(`192.0.2.${index}`)),
        ),
      );
      expect(byStatus(answers)).toEqual({ 401: FAILURES, 429: 60 - FAILURES });
      for (const url of urls) {
        const { status, body } = await signIn(url, { email, password }, from('192.0.2.200'));
        expect([status, body.code]).toEqual([429, 'too-many-requests']);
      }
      await endMinute();
      for (const url of urls) {
        expect((await signIn(url, { email, password }, from('192.0.2.200'))).status).toBe(200);
      }
    });

    it('take exactly as many calls from one address as are allowed, whichever routes they are', async () => {
      await endMinute();
      const routes = ['register', 'login', 'refresh'];
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, index) =>
          send(`${either(index)}/api/v1/auth/${routes[index % 3]}`, {
            method: 'POST',
            body: {},
            headers: from('198.51.100.7'),
          }),
        ),
      );
      const { 429: refused, ...taken } = byStatus(answers);
      expect(refused).toBe(60 - CALLS);
      expect(Object.keys(taken)).toEqual(['401', '422']);
    });

    it('take exactly ten wrong ADMIN_TOKENs from one address, and the right one always', async () => {
      await endMinute();
      const get = (index: number, token: string) =>
        send(`${either(index)}/api/v1/admin/users`, {
          headers: { ...from('198.51.100.8'), 'x-admin-token': token },
        });
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, index) => get(index, `wrong ${index}`)),
      );
      expect(byStatus(answers)).toEqual({
        401: WRONG_ADMIN_TOKENS,
        429: 60 - WRONG_ADMIN_TOKENS,
      });
      const right = await manyTimes(10, (index) => get(index, ADMIN_TOKEN));
      expect(byStatus(right)).toEqual({ 200: 10 });
    });

    it('let a right password in however many come with it at once', async () => {
      await endMinute();
      const { email, password } = await app.register();
      const answers = await manyTimes(3 * FAILURES, (index) =>
        signIn(either(index), { email, password }, from(`203.0.113.${index}`)),
      );
      expect(byStatus(answers)).toEqual({ 200: 3 * FAILURES });
    });

    it('tell each other what a user has sent', async () => {
      await endMinute();
      const account = await app.register();
      const list = (url: string) =>
        send(`${url}/api/v1/images`, { headers: { authorization: `Bearer ${account.token}` } });
      // Until a process knows the token, its requests are the address's.
      for (const url of urls) expect((await list(url)).status).toBe(200);
      const answers = await manyTimes(60, () => list(urls[0]!));
      expect(byStatus(answers)).toEqual({ 200: 50, 429: 10 });
      let tries = 0;
      const { status } = await eventually(
        () => {
          tries += 1;
          return list(urls[1]!);
        },
        (answer) => answer.status === 429,
      );
      // Alone it would have taken fifty.
      expect([status, tries < 50]).toEqual([429, true]);
    });
  });

  it.each([
    ['register', { password: 'a guess of mine', name: 'Ana' }, { 201: 1, 409: FAILURES - 1 }],
    ['forgot-password', {}, { 202: FAILURES }],
  ])('%s is taken so often of one account, wherever it comes from', async (route, more, taken) => {
    await endMinute();
    const body = { email: anEmail(), ...more };
    const answers = await manyTimes(FAILURES + 5, (index) =>
      send(`${either(index)}/api/v1/auth/${route}`, {
        method: 'POST',
        body,
        headers: from(`203.0.113.${index}`),
      }),
    );
    expect(byStatus(answers)).toEqual({ ...taken, 429: 5 });
  });

  it('an unknown e-mail address is limited as a known one is', async () => {
    await endMinute();
    const { email } = await app.register();
    const known: unknown[] = [];
    const unknown: unknown[] = [];
    const nobody = anEmail();
    for (let each = 0; each < FAILURES + 2; each += 1) {
      for (const [answers, address] of [
        [known, email],
        [unknown, nobody],
      ] as const) {
        const who = { email: address, password: 'a guess of mine' };
        const { status, body } = await signIn(app.url, who, from(`203.0.113.${200 + (each % 2)}`));
        answers.push({ status, body: { ...body, requestId: undefined } });
      }
    }
    expect(known).toEqual(unknown);
  });
}
