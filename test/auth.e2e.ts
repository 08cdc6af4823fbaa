import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { newId } from '../src/core/ids.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

const register = (body: object) => app.http.post('/api/v1/auth/register').send(body);
const login = (body: object) => app.http.post('/api/v1/auth/login').send(body);
const anEmail = () => `${newId()}@example.com`;

describe('registering', () => {
  it('makes a studio and its owner, named by `name`', async () => {
    const email = anEmail();
    const { body } = await register({ email, password: 'test123', name: 'Test Studio' }).expect(
      201,
    );
    expect(body).toMatchObject({
      accessToken: expect.any(String),
      tokenType: 'Bearer',
      expiresIn: 900,
      user: { email, name: null, roles: ['USER'], language: 'en', coins: 0, emailVerified: false },
      studio: { name: 'Test Studio', role: 'OWNER' },
    });
    expect(JSON.stringify(body)).not.toMatch(/hash|argon/i);
    const claims = jwt.decode(body.accessToken) as jwt.JwtPayload;
    expect(claims).toMatchObject({
      sub: body.user.id,
      iss: 'atelier',
      aud: 'atelier-api',
      roles: ['USER'],
      studioId: body.studio.id,
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900);
  });

  it('makes an account without a studio for a person', async () => {
    const { body } = await register({
      email: anEmail(),
      password: 'test123',
      name: 'Ana María de la Cruz',
      kind: 'personal',
    }).expect(201);
    expect(body.user).toMatchObject({ name: 'Ana María de la Cruz', lastName: null });
    expect(body.studio).toBeUndefined();
  });

  it('takes an address once, whatever the capitals, also when many ask at once', async () => {
    const email = anEmail();
    const spellings = [
      email,
      email.toUpperCase(),
      ` ${email}`,
      email.replace('example', 'Example'),
    ];
    const answers = await Promise.all(
      [...spellings, ...spellings].map((each) =>
        register({ email: each, password: 'test123', name: 'Test' }),
      ),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
    const refused = answers.find(({ status }) => status === 409);
    expect(refused?.body.code).toBe('email-taken');
    // The losers left no studio behind.
    const studios = await app.database.query(
      `select 1 from studios s where not exists (select 1 from studio_members m where m.studio_id = s.id)`,
    );
    expect(studios).toEqual([]);
  });

  it.each([
    [{ email: 'nobody', password: 'test123', name: 'x' }, 'body.email'],
    [{ email: 'a@example.com', password: 'short', name: 'x' }, 'body.password'],
    [{ email: 'a@example.com', password: 'x'.repeat(129), name: 'x' }, 'body.password'],
    [{ email: 'a@example.com', password: 'test123', name: '  ' }, 'body.name'],
    [{ email: 'a@example.com', password: 'test123', name: 'a\u0000' }, 'body.name'],
    [{ email: 'a@example.com', password: 'test123', name: 'x', roles: ['ADMIN'] }, 'body.roles'],
    [{ email: 'a@example.com', password: 'test123', name: 'x', kind: 'admin' }, 'body.kind'],
    [{ email: 'a@example.com', password: 'aaaaaa\ud800', name: 'x' }, 'body.password'],
    [{ email: ['a@example.com'], password: 'test123', name: 'x' }, 'body.email'],
    [{ password: 'test123', name: 'x' }, 'body.email'],
  ])('refuses %j', async (body, path) => {
    const answer = await register(body).expect(422);
    expect(answer.body.code).toBe('validation-failed');
    expect(answer.body.errors.map((error: { path: string }) => error.path)).toContain(path);
  });
});

describe('a password', () => {
  it('has at least eight characters in production, and is none of the most common', async () => {
    const production = await TestingApp.start({
      worker: false,
      variables: { NODE_ENV: 'production', RATE_LIMITS: 'on' },
    });
    try {
      const post = (password: string) =>
        production.http.post('/auth/register').send({ email: anEmail(), password, name: 'x' });
      await post('seven77').expect(422);
      const { body } = await post('Password1').expect(422);
      expect(body.errors).toEqual([
        { path: 'body.password', message: expect.stringContaining('most common passwords') },
      ]);
      await post('8 heron8').expect(201);
    } finally {
      await production.close();
    }
  });

  it('is stored as argon2id with the parameters of OWASP', async () => {
    const { userId } = await app.register();
    const [row] = await app.database.query<{ password_hash: string }>(
      'select password_hash from users where id = $1',
      [userId],
    );
    expect(row?.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });

  it('is the same however its letters are composed', async () => {
    const email = anEmail();
    await register({ email, password: 'caf\u00e9 creme', name: 'x' }).expect(201);
    await login({ email, password: 'cafe\u0301 creme' }).expect(200);
  });
});

describe('signing in', () => {
  it('answers as registering does', async () => {
    const email = anEmail();
    const registered = await register({ email, password: 'test123', name: 'Test' }).expect(201);
    const { body } = await login({ email: email.toUpperCase(), password: 'test123' }).expect(200);
    expect(body.user).toEqual(registered.body.user);
    expect(body.studio).toEqual(registered.body.studio);
    const images = app.http.get('/api/v1/images');
    await images.set('authorization', `Bearer ${body.accessToken}`).expect(200);
  });

  it('does not tell which of address and password is wrong', async () => {
    const email = anEmail();
    await register({ email, password: 'test123', name: 'Test' }).expect(201);
    const wrong = await login({ email, password: 'test124' }).expect(401);
    const unknown = await login({ email: anEmail(), password: 'test123' }).expect(401);
    expect({ ...wrong.body, requestId: 0 }).toEqual({ ...unknown.body, requestId: 0 });
    expect(wrong.body.code).toBe('invalid-credentials');
  });

  it('is refused for a disabled account, and its tokens are worth nothing any more', async () => {
    const account = await app.register();
    // So that its token is one that was verified before.
    await app.as(account).get('/api/v1/images').expect(200);
    await app.database.query('update users set disabled_at = now() where id = $1', [
      account.userId,
    ]);
    await login(account).expect(422); // unknown fields: tokens are no credentials
    await login({ email: account.email, password: account.password }).expect(401);
    await app.as(account).get('/api/v1/images').expect(401);
  });

  it('works on the first clients’ routes', async () => {
    const email = anEmail();
    const body = { email, password: 'test123', name: 'Test Studio' };
    const registered = await app.http.post('/auth/register').send(body).expect(201);
    expect(registered.body.studio.name).toBe('Test Studio');
    await app.http.post('/auth/login').send({ email, password: 'test123' }).expect(200);
  });
});
