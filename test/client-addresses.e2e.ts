import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { anEmail, byStatus, from, manyTimes, send, signIn } from './guesses.js';
import { type Account, TestingApp } from './testing-app.js';

const CALLS = 20;
const OF_ADDRESS = 30;

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  const variables = {
    RATE_LIMITS: 'on',
    SIGN_IN_CALLS_PER_MINUTE: String(CALLS),
    ADDRESS_REQUESTS_PER_MINUTE: String(OF_ADDRESS),
    TRUST_PROXY: '127.0.0.0/8,10.0.0.0/8',
  };
  app = await TestingApp.start({ worker: false, variables });
  account = await app.register();
});

afterAll(() => app.close());

const guess = (told: string) =>
  signIn(app.url, { email: anEmail(), password: 'not the password' }, from(told));
const visit = (told: string) => send(`${app.url}/api/v1/images`, { headers: from(told) });

describe('a client whose proxy adds the port', () => {
  it('is one, from however many ports it signs in', async () => {
    const answers = await manyTimes(30, (index) => guess(`192.0.2.1:${40_000 + index}`));
    expect(byStatus(answers)).toEqual({ 401: CALLS, 429: 10 });
  });

  it('is one, from however many ports it comes', async () => {
    const answers = await manyTimes(60, (index) => visit(`192.0.2.2:${40_000 + index}`));
    expect(byStatus(answers)).toEqual({ 401: OF_ADDRESS, 429: 30 });
    expect((await visit('192.0.2.2')).status).toBe(429);
    expect((await visit('::ffff:192.0.2.2')).status).toBe(429);
    expect((await visit('[::ffff:192.0.2.2]:5')).status).toBe(429);
  });

  it('is told from others behind a second proxy', async () => {
    const chain = (index: number) => `192.0.2.3:${40_000 + index}, 10.0.0.2:${50_000 + index}`;
    const answers = await manyTimes(OF_ADDRESS + 5, (index) => visit(chain(index)));
    expect(byStatus(answers)).toEqual({ 401: OF_ADDRESS, 429: 5 });
    expect((await visit('192.0.2.4:40000, 10.0.0.2:50000')).status).toBe(401);
  });

  it('of IPv6 is one, with all of its /64', async () => {
    const answers = await manyTimes(OF_ADDRESS + 5, (index) =>
      visit(`[2001:db8::${index}]:${40_000 + index}`),
    );
    expect(byStatus(answers)).toEqual({ 401: OF_ADDRESS, 429: 5 });
  });
});

describe('a session, and the audit', () => {
  it.each([
    ['an address with a port', '192.0.2.9:40000', '192.0.2.9'],
    ['one of IPv6', '[2001:DB8:1::9]:40000', '2001:db8:1::9'],
    ['one of IPv4 within IPv6', '::ffff:192.0.2.9', '192.0.2.9'],
    ['one with a zone', 'fe80::9%eth0', 'fe80::9'],
    ['300 characters', 'x'.repeat(300), '127.0.0.1'],
    ['one address too many', '192.0.2.9:'.repeat(30), '127.0.0.1'],
    ['a word', 'unknown', '127.0.0.1'],
  ])('are told %s, and know what is an address', async (_name, told, address) => {
    const { email, password } = account;
    const { status, body } = await signIn(app.url, { email, password }, from(told));
    expect(status).toBe(200);
    const headers = from(told);
    const renewed = await send(`${app.url}/api/v1/auth/refresh`, {
      ...{ method: 'POST', body: { refreshToken: body.refreshToken }, headers },
    });
    expect(renewed.status).toBe(200);
    const rows = await app.database.query(
      `select sessions.address as held, audit_details.address as audited
       from sessions join audit_entries on target_id = sessions.id
       join audit_details on entry_id = audit_entries.id
       where user_id = $1 and action = 'session.begun' order by sessions.id desc limit 1`,
      [account.userId],
    );
    expect(rows).toEqual([{ held: address, audited: address }]);
  });
});

it('a client that no proxy tells an address of counts for the proxy', async () => {
  const answers = await manyTimes(60, (index) => visit(`garbage ${index}`));
  expect(byStatus(answers)[429]).toBeGreaterThanOrEqual(60 - OF_ADDRESS);
  expect((await visit('192.0.2.5')).status).toBe(401);
});
