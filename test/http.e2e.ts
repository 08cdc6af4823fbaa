import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EntityManager } from '@mikro-orm/postgresql';
import { allProblems } from '../src/core/problems/problem.js';
import { rawRequest, sendRaw } from './raw-http.js';
import { readiness } from './readiness.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: { CORS_ORIGINS: 'https://app.example.com', REQUEST_TIMEOUT_MS: '1000' },
  });
  account = await app.register();
});

afterAll(() => app.close());

const LOGIN = 'POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

describe('every error', () => {
  it.each([
    ['an unknown route', 'GET /nothing HTTP/1.1\r\nhost: x\r\n', 404, 'not-found'],
    ['an unknown method', 'PATCH /health HTTP/1.1\r\nhost: x\r\n', 404, 'not-found'],
    ['a malformed URL', 'GET /api/v1/images/%zz HTTP/1.1\r\nhost: x\r\n', 400, 'malformed'],
    [
      'an over-long parameter',
      `GET /api/v1/images/${'x'.repeat(400)} HTTP/1.1\r\nhost: x\r\n`,
      414,
      'uri-too-long',
    ],
    ['malformed JSON', `${LOGIN}content-length: 5\r\n\r\n{"a":`, 400, 'malformed'],
    ['no body where one is needed', `${LOGIN}content-length: 0\r\n`, 422, 'validation-failed'],
    ['a prototype in JSON', `${LOGIN}content-length: 16\r\n\r\n{"__proto__": 1}`, 400, 'malformed'],
    [
      'an unknown content type',
      'POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: text/xml\r\ncontent-length: 1\r\n\r\nx',
      415,
      'unsupported-media-type',
    ],
    [
      'a body that is too large',
      `${LOGIN}content-length: 102500\r\n\r\n${'x'.repeat(102_500)}`,
      413,
      'payload-too-large',
    ],
    [
      'headers that are too large',
      `GET /health HTTP/1.1\r\nhost: x\r\nx-large: ${'x'.repeat(17_000)}\r\n`,
      431,
      'headers-too-large',
    ],
    ['a request without a host', 'GET /health HTTP/1.1\r\nx-nothing: x\r\n', 400, 'malformed'],
    ['a request to two hosts', 'GET /health HTTP/1.1\r\nhost: x\r\nHost: y\r\n', 400, 'malformed'],
    [
      'a request to one host twice, in HTTP/1.0',
      'GET /health HTTP/1.0\r\nhost: x\r\nhost: x\r\n',
      400,
      'malformed',
    ],
    ['a request to no possible host', 'GET /health HTTP/1.1\r\nhost: user@x\r\n', 400, 'malformed'],
    ['no HTTP at all', 'hello\r\n', 400, 'malformed'],
    ['a method that does not exist', 'BREW /pot HTTP/1.1\r\nhost: x\r\n', 400, 'malformed'],
    [
      'an unknown expectation',
      'GET /health HTTP/1.1\r\nhost: x\r\nexpect: more\r\n',
      417,
      'expectation-failed',
    ],
    ['a tunnel', 'CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n', 405, 'method-not-allowed'],
    ['a body that does not come', `${LOGIN}content-length: 10\r\n\r\n{`, 408, 'request-timeout'],
    ['headers that do not end', 'GET /health HTTP/1.1\r\nhost: x', 408, 'request-timeout'],
  ])('is problem+json: %s', async (_name, request, status, code) => {
    const complete = request.includes('\r\n\r\n') || !request.endsWith('\r\n');
    const { body, ...answer } = await sendRaw(
      app.url,
      complete
        ? request.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n')
        : `${request}connection: close\r\n\r\n`,
    );
    const problem = JSON.parse(body);
    expect([answer.status, problem.code]).toEqual([status, code]);
    expect(answer.head).toContain('content-type: application/problem+json');
    expect(problem).toMatchObject({
      type: `/problems/${code}`,
      title: expect.any(String),
      detail: expect.any(String),
      status,
    });
    expect(body).not.toMatch(/node_modules|\.[jt]s:\d|at .+\(/);
  });

  it('is no answer to the request before it', async () => {
    const get = 'GET /problems HTTP/1.1\r\nhost: x\r\n\r\n';
    const { status } = await sendRaw(app.url, `${get}CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n`);
    expect(status).toBe(0);
  });

  it('has the request id, which the client may choose', async () => {
    const own = await app.http.get('/nothing').set('x-request-id', 'my-id.1').expect(404);
    expect(own.headers['x-request-id']).toBe('my-id.1');
    expect(own.body.requestId).toBe('my-id.1');
    const forged = await app.http.get('/nothing').set('x-request-id', 'a b').expect(404);
    expect(forged.body.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is explained on a page of its own', async () => {
    for (const { code, help } of allProblems()) {
      const page = await app.http.get(`/problems/${code}`).expect(200);
      expect(page.headers['content-type']).toContain('text/html');
      expect(page.text).toContain(help.slice(0, 20).replaceAll('"', '&#34;'));
    }
    await app.http.get('/problems').expect(200);
    await app.http.get('/problems/<script>').expect(404);
  });

  it('is 500 without a word of the fault when the fault is ours', async () => {
    await app.database.query('alter table images rename to images_gone');
    try {
      const answer = await app.as(account).get('/api/v1/images').expect(500);
      expect(answer.body.code).toBe('internal-error');
      expect(JSON.stringify(answer.body)).not.toContain('images_gone');
    } finally {
      await app.database.query('alter table images_gone rename to images');
    }
  });
});

describe('a request whose target names its host', () => {
  it('is answered as one with a path alone', async () => {
    const statusOf = async (target: string, headers: Record<string, string> = {}) =>
      (await sendRaw(app.url, rawRequest('GET', target, headers))).status;
    expect(await statusOf('http://x/health')).toBe(200);
    expect(await statusOf('http://x/docs/nothing?a=/health')).toBe(404);
    expect(await statusOf('http://x/images/1')).toBe(await statusOf('/images/1'));
    const { status, body } = await sendRaw(
      app.url,
      'GET http://x/health HTTP/1.1\r\nconnection: close\r\n\r\n',
    );
    expect([status, JSON.parse(body).code]).toEqual([400, 'malformed']);
  });
});

describe('a JSON route', () => {
  it.each([
    'application/x-www-form-urlencoded',
    'text/plain',
    'multipart/form-data; boundary=b',
    'application/octet-stream',
  ])('refuses %s, which a form on another site could send', async (type) => {
    const answer = await app.http
      .post('/auth/login')
      .set('content-type', type)
      .send(`email=${account.email}&password=${account.password}`)
      .expect(415);
    expect(answer.body.code).toBe('unsupported-media-type');
  });
});

describe('a request without a body', () => {
  it.each([
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=b',
    'application/offset+octet-stream',
  ])('may name a type for it: %s', async (type) => {
    const path = `/api/v1/images/${randomUUID()}`;
    const as = app.as(account);
    expect((await as.delete(path).set('content-type', type)).status).toBe(404);
    expect((await as.get(path).set('content-type', type)).status).toBe(404);
    expect((await as.post(`${path}/reprocess`).set('content-type', type)).status).toBe(404);
    expect((await as.patch(path).set('content-type', type)).status).toBe(404);
    const empty = await as.delete(path).set({ 'content-type': type, 'content-length': '0' });
    expect(empty.status).toBe(404);
  });
});

describe('an answer', () => {
  it('is kept out of caches unless its route says otherwise', async () => {
    const answer = await app.as(account).get('/api/v1/images').expect(200);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
  });
});

describe('the connections to the database', () => {
  it('have time limits', async () => {
    const em = app.app.get(EntityManager).fork();
    for (const [setting, value] of [
      ['statement_timeout', '15s'],
      ['lock_timeout', '5s'],
      ['idle_in_transaction_session_timeout', '30s'],
    ]) {
      const [row] = await em.execute<Record<string, string>[]>(`show ${setting ?? ''}`);
      expect(row?.[setting ?? '']).toBe(value);
    }
  });
});

describe('a proxy that nobody named', () => {
  it('cannot tell another address or host', async () => {
    const { headers } = await app.http
      .get('/health')
      .set('x-forwarded-for', '1.2.3.4')
      .set('x-forwarded-host', 'evil.example');
    expect(JSON.stringify(headers)).not.toContain('evil');
  });
});

describe('health', () => {
  it('tells life, readiness and capabilities', async () => {
    expect((await app.http.get('/health').expect(200)).body).toEqual({ status: 'ok' });
    expect((await app.http.get('/health/ready').expect(200)).body).toEqual({
      status: 'ok',
      checks: { database: 'ok', migrations: 'ok', queue: 'ok', storage: 'ok' },
    });
    const { body } = await app.http.get('/health/capabilities').expect(200);
    expect(body.capabilities).toEqual([
      { part: 'database', driver: 'postgresql', embedded: false },
      { part: 'files', driver: 'disk', embedded: true },
      { part: 'mail', driver: 'recorded', embedded: true },
      { part: 'picture-model', driver: 'local', embedded: true },
      { part: 'queue', driver: 'bullmq-postgresql', embedded: true },
      { part: 'sign-in', driver: 'password', embedded: true },
    ]);
  });

  it('is not ready while a migration is missing', async () => {
    const [last] = await app.database.query<{ name: string }>(
      'delete from mikro_orm_migrations where id = (select max(id) from mikro_orm_migrations) returning name',
    );
    const answer = await readiness(app.url, 503);
    expect(answer).toMatchObject({ code: 'unavailable', detail: 'Not ready: migrations.' });
    await app.database.query('insert into mikro_orm_migrations (name) values ($1)', [last?.name]);
    await readiness(app.url, 200);
  });
});

describe('the documentation', () => {
  it('is served under a strict policy, from here alone', async () => {
    const page = await app.http.get('/docs').expect(200);
    const policy = page.headers['content-security-policy'] ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '');
    expect(assets.length).toBeGreaterThan(3);
    for (const path of assets) await app.http.get(path).expect(200);
  });

  it('is OpenAPI 3.1', async () => {
    const { body } = await app.http.get('/openapi.json').expect(200);
    expect(body.openapi).toBe('3.1.0');
  });
});

describe('a browser app', () => {
  it('may use every method that there is', async () => {
    const { headers } = await preflight('https://app.example.com');
    for (const method of ['GET', 'POST', 'PATCH', 'DELETE']) {
      expect(headers['access-control-allow-methods']).toContain(method);
    }
    const bare = await app.http.options('/api/v1/images');
    expect(bare.status).toBeLessThan(300);
    const answer = await app.http.get('/health').set('origin', 'https://app.example.com');
    expect(answer.headers['access-control-expose-headers']).toContain('x-request-id');
  });

  const preflight = (origin: string) =>
    app.http.options('/api/v1/images').set({
      origin,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'authorization',
    });

  it('may call from the origins that were named, and from no other', async () => {
    const named = await preflight('https://app.example.com');
    expect(named.headers['access-control-allow-origin']).toBe('https://app.example.com');
    const other = await preflight('https://app.example.com.evil.example');
    expect(other.headers['access-control-allow-origin']).toBeUndefined();
  });
});
