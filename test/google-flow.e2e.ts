import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { STATE_COOKIE } from '../src/auth/google/state-cookie.js';
import { REFRESH_COOKIE } from '../src/auth/sign-in/refresh-cookie.js';
import { Browser } from './browser.js';
import { GoogleServer } from './google-server.js';
import { aPerson, GoogleVisits, lastAuditOf, refused } from './google-visits.js';
import { TestingApp } from './testing-app.js';

const APP_URL = 'https://app.example.com/studio';
const MINUTE_MS = 60_000;

let google: GoogleServer;
let app: TestingApp;
let visits: GoogleVisits;

beforeAll(async () => {
  google = await GoogleServer.start();
  app = await TestingApp.start({ worker: false, variables: { ...google.variables, APP_URL } });
  visits = new GoogleVisits(app, google);
});

afterAll(async () => {
  await app.close();
  await google.close();
});

afterEach(() => {
  jest.restoreAllMocks();
  google.refusal = undefined;
  google.faults.clear();
});

const users = (where: string, value: string) =>
  app.database.query<Record<string, unknown>>(`select * from users where ${where} = $1`, [value]);
const lastAudit = (action: string) => lastAuditOf(app, action);

describe('the way to Google', () => {
  it('keeps its state in a cookie that goes to the callback alone', async () => {
    const begun = await new Browser().visit(`${app.url}/api/v1/auth/google`);
    expect(begun.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Secure-atelier-google=[\w.-]+; Max-Age=600; Path=\/api\/v1\/auth\/google\/callback; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ]);
    const { searchParams } = new URL(Browser.next(begun));
    expect(searchParams.get('state')).toMatch(/^[\w-]{43}$/);
    expect(searchParams.get('code_challenge_method')).toBe('S256');
    expect(searchParams.get('redirect_uri')).toBe(`${app.url}/api/v1/auth/google/callback`);
    expect(begun.headers.get('cache-control')).toBe('no-store');
  });

  it('ends in the app when it was asked to, with the refresh token in its cookie', async () => {
    const browser = new Browser();
    const answer = await visits.signIn(aPerson(), '?returnTo=/welcome%3Ffrom%3Dgoogle', browser);
    expect([answer.status, Browser.next(answer)]).toEqual([303, `${APP_URL}/welcome?from=google`]);
    expect(await answer.text()).toBe('');
    expect([...browser.cookies.keys()]).toEqual([REFRESH_COOKIE]);
    const refreshed = await browser.visit(`${app.url}/api/v1/auth/refresh`, { method: 'POST' });
    expect(await refreshed.json()).toMatchObject({ tokenType: 'Bearer' });
  });

  it('answers with the refresh token in its cookie when it was asked to', async () => {
    const browser = new Browser();
    const answer = await visits.signIn(aPerson(), '?refreshIn=cookie', browser);
    expect(await answer.json()).not.toHaveProperty('refreshToken');
    expect(browser.cookies.has(REFRESH_COOKIE)).toBe(true);
  });

  it.each([
    ...['https://evil.example', '//evil.example', '///evil.example', '/\\evil.example'],
    ...['\\\\evil.example', '/\t/evil.example', '/\n/evil.example', ' //evil.example', 'evil'],
    ...['javascript:alert(1)', '@evil.example', '.evil.example', '', '/..//evil.example'],
    ...['/../other', '/%2e%2e/other', '/./x', '/x#token=1', '/x\u0000', '/é', '/\u2028x'],
    `/${'x'.repeat(1_000)}`,
  ])('does not end at %j', async (returnTo) => {
    const { body } = await app.http.get('/api/v1/auth/google').query({ returnTo }).expect(422);
    expect(body.errors).toMatchObject([{ path: 'query.returnTo' }]);
  });

  it.each(['/', '/%2f%2fevil.example', '/@evil.example', '/a//b?next=https://evil.example'])(
    'ends in the app with %j',
    async (returnTo) => {
      const answer = await visits.signIn(aPerson(), `?returnTo=${encodeURIComponent(returnTo)}`);
      expect(Browser.next(answer)).toBe(APP_URL + returnTo);
      expect(new URL(Browser.next(answer)).origin).toBe(new URL(APP_URL).origin);
    },
  );

  it.each(['returnTo=/a&returnTo=/b', 'link=1', 'refreshIn=url'])('takes no %s', async (query) => {
    await app.http.get(`/api/v1/auth/google?${query}`).expect(422);
  });
});

describe('the way back from Google', () => {
  it.each([
    [
      'a forged state',
      ({ searchParams }: URL) => {
        searchParams.set('state', 'A'.repeat(43));
      },
    ],
    [
      'an empty state',
      ({ searchParams }: URL) => {
        searchParams.set('state', '');
      },
    ],
    [
      'no state',
      ({ searchParams }: URL) => {
        searchParams.delete('state');
      },
    ],
  ])('is closed with %s', async (_name, forge) => {
    google.person = aPerson();
    const browser = new Browser();
    const callback = new URL(await visits.toCallback(browser));
    forge(callback);
    const before = google.asked['token'];
    await refused(await browser.visit(callback.href), 403, 'invalid-state');
    expect(google.asked['token']).toBe(before);
    expect(await lastAudit('sign-in.failed')).toMatchObject({
      actor_id: null,
      after: { with: 'google', because: 'invalid-state' },
      address: '127.0.0.1',
    });
  });

  it('is closed to a browser in which it was not begun', async () => {
    google.person = aPerson();
    const callback = await visits.toCallback(new Browser());
    await refused(await new Browser().visit(callback), 403, 'invalid-state');
    const other = new Browser();
    await visits.toCallback(other);
    await refused(await other.visit(callback), 403, 'invalid-state');
    expect(await users('google_id', google.person.sub)).toEqual([]);
  });

  it('is open once', async () => {
    google.person = aPerson();
    const browser = new Browser();
    const callback = await visits.toCallback(browser);
    const [kept] = [...browser.cookies];
    expect((await browser.visit(callback)).status).toBe(200);
    await refused(await browser.visit(callback), 403, 'invalid-state');
    // Also for who has kept the cookie: Google takes each code once.
    browser.cookies.set(...kept!);
    await refused(await browser.visit(callback), 401, 'invalid-google-code');
  });

  it('is open for ten minutes', async () => {
    google.person = aPerson();
    const browser = new Browser();
    const callback = await visits.toCallback(browser);
    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + 10 * MINUTE_MS);
    await refused(await browser.visit(callback), 403, 'invalid-state');
  });

  it.each([
    ['changed', (sealed: string) => sealed.replace(/^./, 'x')],
    ['of another', (sealed: string) => sealed.replace(/\..*/, `.${'A'.repeat(43)}`)],
    ['cut', (sealed: string) => sealed.split('.')[0]!],
    ['longer', (sealed: string) => `${sealed}.x`],
    ['empty', () => ''],
  ])('takes no cookie that is %s', async (_name, forge) => {
    google.person = aPerson();
    const browser = new Browser();
    const callback = await visits.toCallback(browser);
    const cookie = browser.cookies.get(STATE_COOKIE)!;
    browser.cookies.set(STATE_COOKIE, { ...cookie, value: forge(cookie.value) });
    await refused(await browser.visit(callback), 403, 'invalid-state');
  });

  it.each([
    ['403 google-denied', 'access_denied'],
    ['403 google-denied', 'admin_policy_enforced'],
    ['503 google-unavailable', 'temporarily_unavailable'],
  ])('is %s when Google says %s', async (outcome, refusal) => {
    google.refusal = refusal;
    const [status, code = ''] = outcome.split(' ');
    await refused(await visits.signIn(aPerson()), Number(status), code);
    const sent = await visits.signIn(aPerson(), '?returnTo=/');
    expect([sent.status, Browser.next(sent)]).toEqual([303, `${APP_URL}/#error=${code}`]);
  });

  it('believes a refusal only of who was sent to Google', async () => {
    const path = `${app.url}/api/v1/auth/google/callback?error=access_denied`;
    await refused(await new Browser().visit(path), 403, 'invalid-state');
    const browser = new Browser();
    await visits.toCallback(browser);
    await refused(await browser.visit(`${path}&state=x`), 403, 'invalid-state');
  });

  it('tells the app in the fragment what went wrong, and nothing else', async () => {
    const browser = new Browser();
    google.person = aPerson();
    const callback = new URL(await visits.toCallback(browser, '?returnTo=/in?x=1'));
    callback.searchParams.set('code', 'canary-bad-code');
    const answer = await browser.visit(callback.href);
    expect([answer.status, Browser.next(answer)]).toEqual([
      303,
      `${APP_URL}/in?x=1#error=invalid-google-code`,
    ]);
    expect(browser.cookies.size).toBe(0);
  });

  it.each(['canary-bad-code', '', undefined])('is closed with the code %s', async (code) => {
    const browser = new Browser();
    google.person = aPerson();
    const callback = new URL(await visits.toCallback(browser));
    if (code === undefined) callback.searchParams.delete('code');
    else callback.searchParams.set('code', code);
    await refused(await browser.visit(callback.href), 401, 'invalid-google-code');
  });

  it.each([
    ...['token', 'userinfo'].flatMap((path) => [
      [path, 'hang'] as const,
      [path, 'cut'] as const,
      [path, 'huge'] as const,
      [path, { status: 500, body: 'canary' }] as const,
      [path, { status: 400, body: '{"error":"canary<script>","error_description":1}' }] as const,
      [path, { status: 401, body: '{"error":"invalid_client"}' }] as const,
      [path, { status: 302, body: '' }] as const,
      [path, { status: 200, body: 'null' }] as const,
      [path, { status: 200, body: 'not JSON' }] as const,
      [path, { status: 200, body: '{}' }] as const,
    ]),
    ['token', { status: 200, body: '{"access_token":"a\\nb"}' }] as const,
    ['userinfo', { status: 200, body: '{"sub":""}' }] as const,
    ['userinfo', { status: 200, body: '{"sub":12}' }] as const,
  ])('is 503 while the endpoint %s does this: %j', async (path, fault) => {
    google.faults.set(path, fault);
    const answer = await visits.signIn(aPerson());
    expect(answer.headers.get('retry-after')).toBe('10');
    await refused(answer, 503, 'google-unavailable');
  });
});
