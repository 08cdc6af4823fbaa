import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { anEmail, byStatus, endMinute, from, manyTimes, send, signIn } from './guesses.js';
import { eventually } from './eventually.js';
import { holdNextPassword } from './held-passwords.js';
import { testSharedLimits } from './rate-limits-suite.js';
import { TestingApp } from './testing-app.js';

describe('limits that are counted in PostgreSQL', () => {
  testSharedLimits(async () => ({ variables: {}, endMinute }));
});

/** A thousand guesses take a while on a busy machine, and are to be made within one minute. */
const MANY_MS = 60_000;

describe('signing in', () => {
  let app: TestingApp;

  beforeAll(async () => {
    const variables = {
      RATE_LIMITS: 'on',
      TRUST_PROXY: '127.0.0.1',
      CORS_ORIGINS: 'https://app.example.com',
    };
    app = await TestingApp.start({ variables });
  });

  afterAll(() => app.close());

  it(
    'is guessed ten times a minute by a thousand from a hundred addresses',
    async () => {
      const { email, password } = await app.register();
      const answers = await manyTimes(1_000, (index) =>
        signIn(app.url, { email, password: `guess ${index}` }, from(`198.51.100.${index % 100}`)),
      );
      expect(byStatus(answers)).toEqual({ 401: 10, 429: 990 });
      const owner = () => signIn(app.url, { email, password }, from('203.0.113.5'));
      expect((await owner()).status).toBe(429);
      await endMinute(app);
      expect((await owner()).status).toBe(200);
      // The audit tells of failures; what was not looked at is none.
      const [audited] = await app.database.query<{ failures: number }>(
        `select count(*)::int as failures from audit_entries where action = 'sign-in.failed'`,
      );
      expect(audited?.failures).toBe(10);
    },
    MANY_MS,
  );

  it(
    'is guessed three hundred times a minute at a thousand accounts from one address',
    async () => {
      await endMinute(app);
      const { email, password } = await app.register();
      const attacker = from('192.0.2.66');
      const answers = await manyTimes(1_000, (index) =>
        signIn(
          app.url,
          { email: index === 500 ? email : anEmail(), password: 'a guess' },
          attacker,
        ),
      );
      expect(byStatus(answers)).toEqual({ 401: 300, 429: 700 });
      // The owner is elsewhere, or waits for a minute.
      expect((await signIn(app.url, { email, password }, from('192.0.2.67'))).status).toBe(200);
      expect((await signIn(app.url, { email, password }, attacker)).status).toBe(429);
      await endMinute(app);
      expect((await signIn(app.url, { email, password }, attacker)).status).toBe(200);
    },
    MANY_MS,
  );

  it('is told what is left, and when there is more', async () => {
    await endMinute(app);
    const { email, password } = await app.register();
    const origin = { origin: 'https://app.example.com', ...from('192.0.2.70') };
    const right = await signIn(app.url, { email, password }, origin);
    expect(Object.fromEntries(right.headers)).toMatchObject({
      'ratelimit-limit': '300',
      'ratelimit-remaining': '299',
      'ratelimit-reset': '60',
    });
    await manyTimes(12, () => signIn(app.url, { email, password: 'wrong' }, origin));
    const refused = await signIn(app.url, { email, password }, origin);
    expect(refused).toMatchObject({
      status: 429,
      body: {
        type: '/problems/too-many-requests',
        code: 'too-many-requests',
        detail: '10 are taken within a minute.',
      },
    });
    const { headers } = refused;
    expect(headers.get('ratelimit-limit')).toBe('10');
    expect(headers.get('ratelimit-remaining')).toBe('0');
    expect(headers.get('retry-after')).toBe(headers.get('ratelimit-reset'));
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(headers.get('access-control-allow-origin')).toBe('https://app.example.com');
    expect(headers.get('access-control-expose-headers')).toMatch(/ratelimit-reset.*retry-after/);
  });

  it('fails as often by one that may be, so that the right password is not told from others', async () => {
    await endMinute(app);
    const { email, password } = await app.register();
    for (let each = 0; each < 9; each += 1) {
      const { status } = await signIn(app.url, { email, password: 'wrong' }, from('192.0.2.71'));
      expect(status).toBe(401);
    }
    // It was right before the others were wrong, and is answered after them.
    const { verified, release } = holdNextPassword(app);
    const right = signIn(app.url, { email, password }, from('192.0.2.100'));
    await verified;
    const others = await manyTimes(20, (index) =>
      signIn(app.url, { email, password: `wrong ${index}` }, from(`192.0.2.${101 + index}`)),
    );
    release();
    expect(byStatus(others)).toEqual({ 401: 1, 429: 19 });
    const { status, body } = await right;
    expect([status, body.code]).toEqual([429, 'too-many-requests']);
  });

  it('keeps addresses and e-mail addresses out of what is counted', async () => {
    const email = anEmail();
    await signIn(app.url, { email, password: 'wrong' }, from('192.0.2.72'));
    const rows = await app.database.query<{ key: string }>('select key from counters');
    expect(rows.length).toBeGreaterThan(1);
    for (const { key } of rows) expect(key).toMatch(/^[a-z-]+:[\w-]{43}$/);
  });

  it('is counted in rows that the worker removes when their minute is over, and no sooner', async () => {
    await app.worker?.stop();
    await signIn(app.url, { email: anEmail(), password: 'wrong' }, from('192.0.2.73'));
    await endMinute(app);
    await signIn(app.url, { email: anEmail(), password: 'wrong' }, from('192.0.2.74'));
    const rows = () =>
      app.database.query<{ key: string; isPast: boolean }>(
        'select key, resets_at <= now() as "isPast" from counters',
      );
    const before = await rows();
    const running = before.filter(({ isPast }) => !isPast).map(({ key }) => key);
    expect(before.length).toBeGreaterThan(running.length);
    expect(running.length).toBeGreaterThan(0);
    // A new worker sweeps as it starts. Meanwhile the API tells how often addresses came, in rows of
    // another minute.
    await app.startWorker();
    const after = await eventually(rows, (all) => !all.some(({ isPast }) => isPast));
    expect(after.filter(({ isPast }) => isPast)).toEqual([]);
    expect(after.map(({ key }) => key)).toEqual(expect.arrayContaining(running));
  });
});

describe('an address', () => {
  const calls = async (variables: Record<string, string>, addresses: string[]) => {
    const app = await TestingApp.start({
      worker: false,
      variables: { RATE_LIMITS: 'on', SIGN_IN_CALLS_PER_MINUTE: '3', ...variables },
    });
    try {
      const statuses: number[] = [];
      for (const address of addresses) {
        const request = { method: 'POST', body: {}, headers: from(address) };
        statuses.push((await send(`${app.url}/api/v1/auth/login`, request)).status);
      }
      return statuses;
    } finally {
      await app.close();
    }
  };

  it('that a client makes up changes nothing when nobody trusts it', async () => {
    const made = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
    expect(await calls({}, made)).toEqual([422, 422, 422, 429]);
    expect(await calls({ TRUST_PROXY: '10.0.0.0/8' }, made)).toEqual([422, 422, 422, 429]);
  });

  it('that a trusted proxy tells is one of its own, whatever the client put before it', async () => {
    const told = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
    expect(await calls({ TRUST_PROXY: '127.0.0.1' }, told)).toEqual([422, 422, 422, 422]);
    const behindLies = ['1.1.1.1, 192.0.2.1', '2.2.2.2, 192.0.2.1', 'x, 192.0.2.1', ', 192.0.2.1'];
    expect(await calls({ TRUST_PROXY: '127.0.0.1' }, behindLies)).toEqual([422, 422, 422, 429]);
  });

  it('of IPv6 counts by its /64, and one of IPv4 within IPv6 as what it is', async () => {
    const trusted = { TRUST_PROXY: '127.0.0.1' };
    const neighbours = ['2001:db8:0:1::1', '2001:DB8::1:ffff:0:0:2', '2001:db8:0:1:0:0:0:3'];
    expect(await calls(trusted, [...neighbours, '2001:db8:0:1::4', '2001:db8:0:2::1'])).toEqual([
      422, 422, 422, 429, 422,
    ]);
    const same = ['::ffff:192.0.2.1', '192.0.2.1', '::ffff:c000:201', '192.0.2.1', '192.0.2.2'];
    expect(await calls(trusted, same)).toEqual([422, 422, 422, 429, 422]);
  });
});
