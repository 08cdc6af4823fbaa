import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openApiText } from '../src/api-document.js';
import { newId } from '../src/core/ids.js';
import { canary, findCanaries, findSecret, findSecrets } from './canaries.js';
import { type ApiRoute, apiRoutes, likelyBody, plantedRequests } from './canary-requests.js';
import { eventually } from './eventually.js';
import { GoogleServer } from './google-server.js';
import { OtlpCollector } from './otlp-collector.js';
import { ProductProcess } from './product-process.js';
import { rawRequest, type RawAnswer, sendRaw } from './raw-http.js';
import { tokenIn } from './recovery-mail.js';
import { storedRows } from './stored-rows.js';
import { TcpProxy } from './tcp-proxy.js';
import { TestingApp } from './testing-app.js';

/** A word that is no secret, to see that what is said is found. */
const ORDINARY = 'quetzal';
/** Where an answer says of a request what is no secret: the name of a field that there is not. */
const FIELD = 'resplendent';
/** Tables without which signing in fails, each in its own place. */
const TABLES = ['users', 'sessions', 'audit_entries', 'account_tokens', 'studio_members'];

let app: TestingApp;
let api: ProductProcess;
let worker: ProductProcess;
let proxy: TcpProxy;
let collector: OtlpCollector;
let google: GoogleServer;
let url: string;
let routes: ApiRoute[];

/** Everything that was answered with an error. */
const refusals: string[] = [];
/** What the product itself has made, and no one else is to see. */
const secrets = new Map<string, string>();

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  collector = await OtlpCollector.open();
  google = await GoogleServer.start();
  const variables = {
    ...app.variables,
    ...google.variables,
    LOG_LEVEL: 'trace',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  };
  const proxied = await TcpProxy.before(app.database.appUrl);
  proxy = proxied.proxy;
  ({ api, url } = await ProductProcess.startApi({ ...variables, DATABASE_URL: proxied.url }));
  worker = await ProductProcess.start('worker', variables);
  routes = apiRoutes(JSON.parse(await openApiText()));
});

afterAll(async () => {
  await Promise.all([api.kill(), worker.kill()]);
  await Promise.all([proxy.close(), collector.close(), google.close()]);
  await app.close();
});

async function send(request: Buffer): Promise<RawAnswer> {
  const answer = await sendRaw(url, request);
  // Nothing comes from a server that ends the connection in the middle of too large a request.
  if (answer.status >= 400 || answer.status === 0) refusals.push(answer.head + answer.body);
  return answer;
}

const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  send(
    rawRequest(
      'POST',
      path,
      { 'content-type': 'application/json', ...headers },
      JSON.stringify(body),
    ),
  );

async function sendAll(requests: Buffer[]): Promise<RawAnswer[]> {
  const answers: RawAnswer[] = [];
  const left = requests.values();
  const lane = async (): Promise<void> => {
    for (const request of left) answers.push(await send(request));
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  return answers;
}

interface SignedIn {
  email: string;
  password: string;
  accessToken: string;
  refreshToken: string;
}

/** Takes the tokens of an answer for secrets from now on. */
function keep({ status, body }: RawAnswer): Omit<SignedIn, 'email' | 'password'> | undefined {
  if (status >= 300 || body === '') return undefined;
  const { accessToken = '', refreshToken = '' } = JSON.parse(body);
  for (const [name, secret] of Object.entries({ accessToken, refreshToken })) {
    if (secret !== '') secrets.set(secret, name);
  }
  return { accessToken, refreshToken };
}

async function register(): Promise<SignedIn> {
  const account = { email: `${newId()}@example.com`, password: canary('registered password') };
  const answer = await post('/api/v1/auth/register', { ...account, name: 'Someone' });
  const tokens = keep(answer);
  if (!tokens) throw new Error(`Not registered: ${answer.body}`);
  return { ...account, ...tokens };
}

/** Someone who may enter every route. */
async function registerAdmin(): Promise<SignedIn> {
  const account = await register();
  await app.database.query(`update users set roles = '{USER,ADMIN}' where email = $1`, [
    account.email,
  ]);
  return account;
}

/** All that people do to get in, stay in and get out, rightly and wrongly. */
async function signInAndOut({ email, password, accessToken, refreshToken }: SignedIn) {
  const authorization = { authorization: `Bearer ${accessToken}` };
  const cookie = `__Secure-atelier-refresh=${refreshToken}`;
  const answers = [
    await post('/api/v1/auth/register', { email, password, name: 'Someone' }),
    await post('/api/v1/auth/login', { email, password }),
    await post('/api/v1/auth/login', { email, password, refreshIn: 'cookie' }),
    await post('/api/v1/auth/login', { email, password: canary('wrong password') }),
    await post('/api/v1/auth/refresh', {}, { cookie }),
    await post('/api/v1/auth/refresh', { refreshToken: canary('refresh token') }),
    await post('/api/v1/auth/refresh', { refreshToken }),
    await post('/api/v1/auth/forgot-password', { email }),
    await post('/api/v1/auth/reset-password', {
      token: canary('reset token'),
      password: canary('reset password'),
    }),
    await post('/api/v1/auth/verify-email', { token: canary('verify token') }, authorization),
    await post('/api/v1/me/email', { email: `${newId()}@example.com`, password }, authorization),
    await post('/api/v1/auth/logout', { refreshToken }, authorization),
    await post('/api/v1/auth/logout', { refreshToken: canary('logout token') }),
    await post('/api/v1/auth/logout-all', {}, authorization),
  ];
  answers.forEach((answer) => {
    keep(answer);
    const [, inCookie = ''] = /atelier-refresh=([^;]{20,})/.exec(answer.head) ?? [];
    if (inCookie !== '') secrets.set(inCookie, 'refresh token in a cookie');
  });
  return answers.map(({ status }) => status);
}

/** All that anybody could read. @returns what of it is secret, and where */
async function findLeaks(): Promise<string[]> {
  // What is said last is written a moment later.
  const end = `the-end-${newId()}`;
  await send(rawRequest('GET', '/api/v1/images', { 'x-request-id': end }));
  await api.tells(end);
  const heard: [string, string][] = [
    ['the API', api.output],
    ['the worker', worker.output],
    ['the traces', JSON.stringify(collector.spans)],
    ['an answer', refusals.join('\n')],
  ];
  const stored = [...(await storedRows(app.database))];
  const leaks = [...heard, ...stored].flatMap(([where, text]) => [
    ...findCanaries(text).map((found) => `${where}: ${found}`),
    ...findSecrets(text, secrets.keys()).flatMap(({ secret, found }) => {
      const name = secrets.get(secret);
      // A recorded mail holds its link, for want of another place.
      if (where === 'public.outgoing_mail' && name === 'token of a mail') return [];
      return [`${where} has a ${name}: ${found}`];
    }),
  ]);
  const hashes = [...heard, ...stored.filter(([table]) => table !== 'public.users')].flatMap(
    ([where, text]) => findSecret(text, '$argon2').map((found) => `${where} has a hash: ${found}`),
  );
  const keys = heard.flatMap(([where, text]) =>
    findSecret(text, 'tests sign their').map((found) => `${where} has a key: ${found}`),
  );
  return [...leaks, ...hashes, ...keys].slice(0, 10);
}

describe('the search', () => {
  it('finds a secret in every spelling', () => {
    const secret = canary('control');
    for (const text of [
      secret,
      `"${secret.toUpperCase()}"`,
      encodeURIComponent(`{"${secret}"}`),
      JSON.stringify(JSON.stringify({ secret })),
      secret.slice(0, 10),
      ...['', 'x', 'xx'].flatMap((before) => [
        Buffer.from(`${before}${secret}`).toString('base64'),
        Buffer.from(`${before}${secret}`).toString('base64url'),
        Buffer.from(`${before}${secret}`).toString('hex'),
      ]),
    ]) {
      expect([text, findCanaries(text).length > 0]).toEqual([text, true]);
    }
    expect(findCanaries(`nothing ${newId()}`)).toEqual([]);
  });

  it('finds what is said in logs, traces, answers and rows', async () => {
    const { accessToken, password } = await register();
    const headers = { authorization: `Bearer ${accessToken}`, 'x-request-id': `log-${ORDINARY}` };
    await send(rawRequest('GET', '/api/v1/images', headers));
    await post('/api/v1/auth/login', { [ORDINARY]: 1 });
    const email = `${ORDINARY}@example.com`;
    await post('/api/v1/me/email', { email, password }, headers);
    await api.tells(`log-${ORDINARY}`);
    await worker.tells(`log-${ORDINARY}`);
    await eventually(
      async () => collector.spans,
      (spans) => JSON.stringify(spans).includes(`log-${ORDINARY}`),
    );
    const stored = await storedRows(app.database);
    for (const text of [
      api.output,
      worker.output,
      JSON.stringify(collector.spans),
      refusals.join(),
      ...['audit_entries', 'audit_details', 'outgoing_mail'].map((name) =>
        stored.get(`public.${name}`)!,
      ),
    ]) {
      expect(findSecret(text, ORDINARY)).not.toEqual([]);
    }
    // Tables that it looks at although nothing is in them here.
    for (const name of ['public.failed_jobs', 'public.idempotency_keys', 'bullmq.job']) {
      expect([...stored.keys()]).toContain(name);
    }
  });
});

describe('a secret', () => {
  it('is told to nobody, however people sign in and out', async () => {
    const account = await register();
    const statuses = await signInAndOut(account);
    expect(statuses).toEqual([
      ...[409, 200, 200, 401, 200, 401, 200],
      ...[202, 422, 422, 202, 204, 204, 401],
    ]);
    // The links of its mails: one to verify, one to reset, one for the new address.
    const mails = await eventually(
      () =>
        app.database.query<{ text: string }>(
          `select text from outgoing_mail where text is not null`,
        ),
      (found) => found.length >= 3,
    );
    for (const { text } of mails) secrets.set(tokenIn(text), 'token of a mail');
    const { accessToken } = await register();
    const signedIn = { authorization: `Bearer ${accessToken}` };
    for (const token of secrets.keys()) {
      await post('/api/v1/auth/reset-password', { token, password: 'x' });
      await post('/api/v1/auth/verify-email', { token: [token] }, signedIn);
      await post('/api/v1/auth/confirm-email', { token, [FIELD]: token }, signedIn);
      await send(rawRequest('GET', `/api/v1/auth/verify-email/${token}?token=${token}`, {}));
    }
    expect(await findLeaks()).toEqual([]);
  });

  it('is told to nobody, wherever in a request it stands, on any route', async () => {
    for (const route of routes) {
      const { accessToken } = await registerAdmin();
      const answers = await sendAll(plantedRequests(route, accessToken));
      for (const { status, body } of answers) {
        expect([route.path, status, status < 500 ? '' : body]).toEqual([route.path, status, '']);
      }
    }
    expect(refusals.length).toBeGreaterThan(routes.length * 20);
    expect(await findLeaks()).toEqual([]);
  }, 240_000);

  it('is in no log as the name of a field, which an answer may tell', async () => {
    for (const route of routes.filter(({ fields }) => fields)) {
      const { accessToken } = await registerAdmin();
      const authorization = `Bearer ${accessToken}`;
      const body = { ...likelyBody(route), [FIELD]: 1 };
      const path = route.path.replace(/\{\w+\}/g, () => newId());
      const headers = { authorization, 'content-type': 'application/json' };
      const request = rawRequest(route.method, path, headers, JSON.stringify(body));
      const answer = await sendRaw(url, request);
      expect([route.path, answer.status, answer.body]).toEqual([
        route.path,
        422,
        expect.stringContaining(`body.${FIELD}`),
      ]);
    }
    expect(await findLeaks()).toEqual([]);
    const stored = [...(await storedRows(app.database)).values()];
    for (const text of [api.output, worker.output, ...stored]) {
      expect(findSecret(text, FIELD)).toEqual([]);
    }
  });
});

describe('while the database fails', () => {
  it.each(TABLES)('a secret is told to nobody: %s is gone', async (table) => {
    const account = await register();
    await app.database.query(`alter table ${table} rename to ${table}_gone`);
    const statuses = await signInAndOut(account);
    await app.database.query(`alter table ${table}_gone rename to ${table}`);
    expect(statuses).toContain(500);
    expect(await findLeaks()).toEqual([]);
  });

  it.each(TABLES)('a secret is told to nobody: %s takes no rows', async (table) => {
    const account = await register();
    await app.database.query(`alter table ${table} add constraint full_up check (false) not valid`);
    const statuses = [
      ...(await signInAndOut(account)),
      (
        await post('/api/v1/auth/register', {
          email: `${newId()}@example.com`,
          password: canary('password'),
          name: 'Someone',
        })
      ).status,
    ];
    await app.database.query(`alter table ${table} drop constraint full_up`);
    expect(statuses).toContain(500);
    expect(await findLeaks()).toEqual([]);
  });

  it('a secret is told to nobody: it goes away under requests, and is away', async () => {
    const accounts = await Promise.all(Array.from({ length: 6 }, register));
    const under = accounts.map((account) => signInAndOut(account));
    await api.tells('/api/v1/auth/login');
    proxy.cut();
    const statuses = (await Promise.all(under)).flat();
    const { email, password } = accounts[0]!;
    const away = await post('/api/v1/auth/login', { email, password });
    proxy.mend();
    expect(statuses).toContain(503);
    expect(away.status).toBe(503);
    await eventually(
      () => post('/api/v1/auth/login', { email, password }),
      ({ status }) => status === 200,
    );
    expect(await findLeaks()).toEqual([]);
  });
});
