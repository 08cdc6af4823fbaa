import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { Browser } from './browser.js';
import { GoogleServer } from './google-server.js';
import { ProductProcess } from './product-process.js';
import { TestingApp } from './testing-app.js';

const APP_URL = 'https://app.example.com';

let app: TestingApp;
let google: GoogleServer;
let api: ProductProcess;
let url: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  google = await GoogleServer.start();
  const variables = { ...app.variables, ...google.variables, APP_URL, LOG_LEVEL: 'trace' };
  ({ api, url } = await ProductProcess.startApi(variables));
});

afterAll(async () => {
  await api.kill();
  await app.close();
  await google.close();
});

it('nothing that anybody signs in with by Google is in a log, an error or an address', async () => {
  const sub = newId();
  google.person = { sub, email: `${sub}@example.com`, email_verified: true, name: 'canary' };
  const seen: string[] = [];
  const secrets: string[] = [];

  /** Goes the whole way, with something in the way. */
  async function go(query: string, change: (callback: URL) => void = () => undefined) {
    const browser = new Browser();
    const begun = await browser.visit(`${url}/api/v1/auth/google${query}`);
    secrets.push(...[...browser.cookies.values()].map(({ value }) => value));
    const callback = new URL(Browser.next(await browser.visit(Browser.next(begun))));
    secrets.push(callback.searchParams.get('state')!);
    change(callback);
    const answer = await browser.visit(callback.href);
    secrets.push(...[...browser.cookies.values()].map(({ value }) => value));
    const body = await answer.text();
    seen.push(answer.headers.get('location') ?? '');
    if (answer.status === 200) {
      const { accessToken, refreshToken } = JSON.parse(body) as Record<string, string>;
      secrets.push(accessToken!, refreshToken!);
    } else {
      seen.push(body);
    }
    return answer.status;
  }

  const badCode = ({ searchParams }: URL) => {
    searchParams.set('code', 'canary-bad-code');
  };
  expect(await go('')).toBe(200);
  expect(await go('?returnTo=/in')).toBe(303);
  expect(await go('', badCode)).toBe(401);
  expect(await go('?returnTo=/in', badCode)).toBe(303);
  google.faults.set('token', { status: 401, body: '{"error":"x","error_description":"canary"}' });
  expect(await go('')).toBe(503);
  expect(await go('?returnTo=/in')).toBe(303);
  google.faults.set('token', { status: 500, body: 'canary' });
  expect(await go('')).toBe(503);
  google.faults.clear();
  google.faults.set('userinfo', { status: 403, body: '{"error":{"message":"canary"}}' });
  expect(await go('')).toBe(503);
  google.refusal = 'canary_refusal';
  expect(await go('')).toBe(403);

  const idToken = google.idToken(google.person, { nonce: 'canary-nonce' });
  for (const body of [{ idToken }, { idToken, nonce: 'canary-other' }, { idToken: 'canary' }]) {
    const answer = await fetch(`${url}/api/v1/auth/google/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(answer.status).toBe(401);
    seen.push(await answer.text());
  }

  await api.tells('/api/v1/auth/google/token');
  await api.tells('google-unavailable');
  const audit = await app.database.query(
    'select * from audit_entries join audit_details on entry_id = id',
  );
  const all = [api.output, ...seen, JSON.stringify(audit)].join('\n');
  for (const secret of ['canary', ...secrets, ...google.secrets]) expect(all).not.toContain(secret);
});
