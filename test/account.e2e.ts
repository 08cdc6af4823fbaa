import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openApiText } from '../src/api-document.js';
import { REFRESH_COOKIE } from '../src/auth/sign-in/refresh-cookie.js';
import { finishedMails, mailRows, settleMail, tokenOf } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';

const NEW_PASSWORD = 'a better password';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { APP_URL: 'https://app.example.com' } });
});

afterAll(() => app.close());

const me = (account: Account) => app.as(account).get('/api/v1/me');
const change = (account: Account, changes: object) =>
  app.as(account).patch('/api/v1/me').send(changes);
const changePassword = (account: Account, body: object) =>
  app.as(account).put('/api/v1/me/password').send(body);
const login = (email: string, password: string) =>
  app.http.post('/api/v1/auth/login').send({ email, password });
const refresh = (refreshToken: string) =>
  app.http.post('/api/v1/auth/refresh').send({ refreshToken });

/** As one who has only ever signed in with Google. */
async function registerWithoutPassword(): Promise<Account> {
  const account = await app.register();
  await app.database.query(
    `update users set password_hash = null, google_id = 'google-' || id where id = $1`,
    [account.userId],
  );
  return account;
}

const ageSessions = ({ userId }: Account, minutes: number) =>
  app.database.query(
    `update sessions set created_at = now() - make_interval(mins => $2) where user_id = $1`,
    [userId, minutes],
  );

async function auditOf({ userId }: Account): Promise<string[]> {
  const rows = await app.database.query<{ action: string }>(
    'select action from audit_entries where target_id = $1 order by created_at, id',
    [userId],
  );
  return rows.map(({ action }) => action);
}

describe('an account', () => {
  it('is shown to its owner, with the studios that they work in', async () => {
    const account = await app.register('studio');
    const { body } = await me(account).expect(200);
    expect(body).toEqual({
      id: account.userId,
      email: account.email,
      firstName: null,
      lastName: null,
      name: null,
      roles: ['USER'],
      language: 'en',
      coins: 0,
      emailVerified: false,
      createdAt: expect.any(String),
      hasPassword: true,
      studios: [
        expect.objectContaining({ id: expect.any(String), name: 'Someone', role: 'OWNER' }),
      ],
    });
    const personal = await me(await app.register()).expect(200);
    expect(personal.body).toMatchObject({ firstName: 'Someone', studios: [] });
    await app.http.get('/api/v1/me').expect(401);
  });

  it('has its names and its language changed, and what is left out stays', async () => {
    const account = await app.register('studio');
    const { body } = await change(account, { firstName: ' Ana ', lastName: 'Ruiz' }).expect(200);
    expect(body).toMatchObject({ firstName: 'Ana', lastName: 'Ruiz', name: 'Ana Ruiz' });
    await change(account, { language: 'pt-br' }).expect(200);
    await change(account, { lastName: null }).expect(200);
    await change(account, {}).expect(200);
    const shown = await me(account).expect(200);
    expect(shown.body).toMatchObject({ firstName: 'Ana', lastName: null, language: 'pt-BR' });
    const emptied = await change(account, { firstName: '' }).expect(200);
    expect(emptied.body).toMatchObject({ firstName: null, name: null });
  });

  it.each([
    { email: 'a@example.com' },
    { roles: ['ADMIN'] },
    { coins: 100 },
    { studios: [] },
    { emailVerified: true },
    { firstName: 7 },
    { firstName: 'a'.repeat(201) },
    { lastName: 'a\0b' },
    { language: 'no language' },
    { language: null },
    [],
    'text',
  ])('takes no change like %j', async (changes) => {
    const account = await app.register();
    const { body } = await app
      .as(account)
      .patch('/api/v1/me')
      .set('content-type', 'application/json')
      .send(JSON.stringify(changes));
    expect(['validation-failed', 'malformed']).toContain(body.code);
    expect((await me(account).expect(200)).body).toMatchObject({ firstName: 'Someone' });
  });
});

describe('a change of the password', () => {
  it('ends all sessions and links, and answers a session to go on with', async () => {
    const account = await app.register();
    const other = (await login(account.email, account.password).expect(200)).body;
    await app.http.post('/api/v1/auth/forgot-password').send({ email: account.email }).expect(202);
    const token = await tokenOf(app, account.email, 'reset-password');
    const currentPassword = account.password;
    const { body } = await changePassword(account, {
      currentPassword,
      newPassword: NEW_PASSWORD,
    }).expect(200);
    expect(body).toMatchObject({
      accessToken: expect.any(String),
      refreshToken: expect.any(String),
      user: { id: account.userId },
    });
    await me(account).expect(401);
    await me({ ...account, token: other.accessToken }).expect(401);
    await refresh(account.refreshToken).expect(401);
    await refresh(other.refreshToken).expect(401);
    await app.http
      .post('/api/v1/auth/reset-password')
      .send({ token, password: 'another password' })
      .expect(422);
    await me({ ...account, token: body.accessToken }).expect(200);
    await refresh(body.refreshToken).expect(200);
    await login(account.email, account.password).expect(401);
    await login(account.email, NEW_PASSWORD).expect(200);
    expect(await auditOf(account)).toEqual(
      expect.arrayContaining(['password.changed', 'session.ended']),
    );
  });

  it('can have the new refresh token put into the cookie', async () => {
    const account = await app.register();
    const answer = await changePassword(account, {
      currentPassword: account.password,
      newPassword: NEW_PASSWORD,
      refreshIn: 'cookie',
    }).expect(200);
    expect(answer.body).not.toHaveProperty('refreshToken');
    expect(answer.headers['set-cookie']?.[0]).toContain(`${REFRESH_COOKIE}=`);
  });

  it('is told to a verified address, and to no other', async () => {
    const account = await app.register();
    const first = await changePassword(account, {
      currentPassword: account.password,
      newPassword: NEW_PASSWORD,
    }).expect(200);
    await settleMail(app);
    const sent = await mailRows(app, account.email);
    expect(sent.map(({ template }) => template)).not.toContain('password-changed');

    await app.database.query(
      `update users set email_verified_at = now(), language = 'es' where id = $1`,
      [account.userId],
    );
    await changePassword(
      { ...account, token: first.body.accessToken },
      { currentPassword: NEW_PASSWORD, newPassword: account.password },
    ).expect(200);
    const [notice] = await finishedMails(app, account.email, 'password-changed');
    expect(notice).toMatchObject({
      status: 'RECORDED',
      language: 'es',
      subject: 'Tu contraseña ha cambiado',
    });
  });

  it('is refused with another password, or none, which counts as a failed sign-in', async () => {
    const account = await app.register();
    const wrong = await changePassword(account, {
      currentPassword: 'not this one',
      newPassword: NEW_PASSWORD,
    }).expect(403);
    expect(wrong.body).toMatchObject({ code: 'wrong-password' });
    await changePassword(account, { newPassword: NEW_PASSWORD }).expect(403);
    await me(account).expect(200);
    await login(account.email, account.password).expect(200);
    expect(await auditOf(account)).toContain('password.change-refused');
  });

  it.each([
    { newPassword: 'short' },
    { newPassword: 'a'.repeat(129) },
    { newPassword: 7 },
    {},
    { newPassword: NEW_PASSWORD, userId: 'x' },
    { newPassword: NEW_PASSWORD, refreshIn: 'header' },
  ])('is refused with %j', async (body) => {
    const account = await app.register();
    const currentPassword = account.password;
    await changePassword(account, { currentPassword, ...body }).expect(422);
    await login(account.email, account.password).expect(200);
  });

  it('happens once when two ask for it at the same time', async () => {
    const account = await app.register();
    const answers = await Promise.all(
      ['one new password', 'another new password'].map((newPassword) =>
        changePassword(account, { currentPassword: account.password, newPassword }),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const sessions = await app.database.query(
      'select 1 from sessions where user_id = $1 and ended_at is null',
      [account.userId],
    );
    expect(sessions).toHaveLength(1);
  });

  it('gives one to an account that has none, when it has signed in just now', async () => {
    const account = await registerWithoutPassword();
    expect((await me(account).expect(200)).body.hasPassword).toBe(false);
    await ageSessions(account, 16);
    const { body } = await changePassword(account, { newPassword: NEW_PASSWORD }).expect(403);
    expect(body).toMatchObject({ code: 'sign-in-again', type: '/problems/sign-in-again' });
    await login(account.email, NEW_PASSWORD).expect(401);
    await ageSessions(account, 14);
    await changePassword(account, { newPassword: NEW_PASSWORD }).expect(200);
    await login(account.email, NEW_PASSWORD).expect(200);
  });
});

describe('guesses at a password by a stolen session', () => {
  let limited: TestingApp;

  beforeAll(async () => {
    limited = await TestingApp.start({ worker: false, variables: { RATE_LIMITS: 'on' } });
  });

  afterAll(() => limited.close());

  it('are as few as guesses at the sign-in, whatever they are for', async () => {
    const account = await limited.register();
    const guess = (number: number) =>
      number % 2 === 0
        ? limited
            .as(account)
            .put('/api/v1/me/password')
            .send({ currentPassword: `guess ${number}`, newPassword: NEW_PASSWORD })
        : limited
            .as(account)
            .delete('/api/v1/me')
            .send({ password: `guess ${number}` });
    for (let number = 0; number < 10; number += 1) await guess(number).expect(403);
    await guess(10).expect(429);
    await guess(11).expect(429);
    const { email, password } = account;
    // They are counted apart: the owner can still sign in.
    await limited.http.post('/api/v1/auth/login').send({ email, password }).expect(200);
  });

  it('and five exports a minute are enough', async () => {
    const account = await limited.register();
    for (let number = 0; number < 5; number += 1) {
      await limited.as(account).get('/api/v1/me/export').expect(200);
    }
    const { body } = await limited.as(account).get('/api/v1/me/export').expect(429);
    expect(body.code).toBe('too-many-requests');
  });
});

describe('an export', () => {
  it('is a file of JSON that nobody keeps', async () => {
    const account = await app.register('studio');
    const answer = await app.as(account).get('/api/v1/me/export').expect(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'content-disposition': 'attachment; filename="atelier-export.json"',
      'cache-control': 'no-store',
    });
    expect(answer.body).toMatchObject({
      account: { id: account.userId, studios: [{ name: 'Someone', role: 'OWNER' }] },
      images: [],
      sessions: [{ address: '127.0.0.1' }],
    });
    await app.http.get('/api/v1/me/export').expect(401);
  });

  it('holds each of ten thousand images and two thousand entries of the audit once', async () => {
    const account = await app.register();
    await app.database.query(
      `insert into images (id, user_id, type, status, title, storage_key, stored_bytes, metadata,
         checksum, version, created_at, updated_at)
       select gen_random_uuid(), $1, 'UPLOADED', 'COMPLETED', 'Picture ' || number, 'images/x/' || number,
         1, '{"width":1,"height":1,"size":1,"format":"jpeg"}', repeat('0', 64), 1,
         date_trunc('milliseconds', now()) + make_interval(secs => number / 7), now()
       from generate_series(1, 10000) as number`,
      [account.userId],
    );
    await app.database.query(
      `insert into audit_entries (id, actor_kind, actor_id, action, target_type, target_id, created_at)
       select gen_random_uuid(), 'user', $1, 'test.happened', 'user',
         case when number % 2 = 0 then $1::uuid else gen_random_uuid() end, now()
       from generate_series(1, 2000) as number`,
      [account.userId],
    );
    const { body } = await app.as(account).get('/api/v1/me/export').expect(200);
    const titles = new Set(body.images.map(({ title }: { title: string }) => title));
    expect([titles.size, body.images.length]).toEqual([10_000, 10_000]);
    const entries = body.auditEntries.filter(
      ({ action }: { action: string }) => action === 'test.happened',
    );
    expect(new Set(entries.map(({ id }: { id: string }) => id)).size).toBe(2_000);
    expect(entries).toHaveLength(2_000);
  });

  it('tells nothing of others: not who changed the account from where, nor what became of theirs', async () => {
    const [account, other] = await Promise.all([app.register(), app.register()]);
    const [entry] = await app.database.query<{ id: string }>(
      `insert into audit_entries (id, actor_kind, actor_id, action, target_type, target_id, created_at)
       values (gen_random_uuid(), 'user', $1, 'user.role-added', 'user', $2, now()) returning id`,
      [other.userId, account.userId],
    );
    await app.database.query(
      `insert into audit_details (entry_id, address, before, after)
       values ($1, '203.0.113.1', '{"roles":"before"}', '{"roles":"after"}')`,
      [entry?.id],
    );
    await app.database.query(
      `insert into outgoing_mail (id, recipient_id, recipient, template, data, status, created_at, updated_at)
       values (gen_random_uuid(), gen_random_uuid(), $1, 'change-email', $2, 'SENT', now(), now())`,
      [account.email, { userId: other.userId }],
    );
    const own = await app.as(account).get('/api/v1/me/export').expect(200);
    expect(JSON.stringify(own.body)).not.toContain('203.0.113.1');
    expect(own.body.auditEntries).toContainEqual(
      expect.objectContaining({ action: 'user.role-added', after: { roles: 'after' } }),
    );
    expect(JSON.stringify(own.body.mails)).not.toContain('change-email');
    const others = await app.as(other).get('/api/v1/me/export').expect(200);
    expect(others.body.auditEntries).toContainEqual(
      expect.objectContaining({ action: 'user.role-added', address: '203.0.113.1', after: null }),
    );
  });

  it('has the sections that openapi.json names', async () => {
    const { body } = await app
      .as(await app.register())
      .get('/api/v1/me/export')
      .expect(200);
    const { schemas } = JSON.parse(await openApiText()).components;
    expect(Object.keys(body).sort()).toEqual(
      Object.keys(schemas.PersonalDataExport.properties).sort(),
    );
  });

  it('holds no hash, no token and no text of a mail', async () => {
    const account = await app.register();
    await finishedMails(app, account.email, 'verify-email');
    const answer = await app.as(account).get('/api/v1/me/export').expect(200);
    const exported = JSON.stringify(answer.body);
    const [secrets] = await app.database.query<Record<string, string>>(
      `select password_hash, token_hash, text from users
       join account_tokens on user_id = users.id join outgoing_mail on outgoing_mail.id = account_tokens.id
       where users.id = $1`,
      [account.userId],
    );
    for (const secret of Object.values(secrets ?? {})) expect(exported).not.toContain(secret);
    expect(Object.values(secrets ?? {})).toHaveLength(3);
    const sessions = await app.database.query<{ token_hash: string }>(
      'select token_hash from sessions where user_id = $1',
      [account.userId],
    );
    expect(exported).not.toContain(sessions[0]?.token_hash);
    expect(exported).not.toContain('#token=');
    expect(answer.body.mails).toMatchObject([{ to: account.email, template: 'verify-email' }]);
    expect(answer.body.accountTokens).toMatchObject([{ purpose: 'verify-email' }]);
  });
});
