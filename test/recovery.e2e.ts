import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { codeOf, enrol, requestTotp } from './authenticators.js';
import { holdNextPassword } from './held-passwords.js';
import { finishedMails, mailRows, settleMail, tokenOf } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';

const NEW_PASSWORD = 'a better password';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { APP_URL: 'https://app.example.com' } });
});

afterAll(() => app.close());

const post = (path: string, body: object) => app.http.post(`/api/v1/${path}`).send(body);
const verify = (account: Account, token: string) =>
  app.as(account).post('/api/v1/auth/verify-email').send({ token });
const forgot = (email: string) => post('auth/forgot-password', { email });
const reset = (token: string, password = NEW_PASSWORD) =>
  post('auth/reset-password', { token, password });
const confirm = (account: Account, token: string) =>
  app.as(account).post('/api/v1/auth/confirm-email').send({ token });
/** After a reset, which ends all sessions. */
async function signedInAgain(account: Account): Promise<Account> {
  const { body } = await login(account.email, NEW_PASSWORD).expect(200);
  return { ...account, token: body.accessToken };
}
const resend = (account: Account) => app.as(account).post('/api/v1/auth/verify-email/resend');
const login = (email: string, password: string) => post('auth/login', { email, password });
const anEmail = () => `${newId()}@example.com`;

function changeEmail(account: Account, email: string, password: string | null = account.password) {
  return app
    .as(account)
    .post('/api/v1/me/email')
    .send({ email, ...(password !== null && { password }) });
}

async function userOf({ userId }: Account) {
  const [user] = await app.database.query<Record<string, unknown>>(
    'select * from users where id = $1',
    [userId],
  );
  return user;
}

async function resetTokenOf({ email }: Account, count = 1): Promise<string> {
  await forgot(email).expect(202);
  return tokenOf(app, email, 'reset-password', count);
}

async function changeTokenOf(account: Account, email: string): Promise<string> {
  await changeEmail(account, email).expect(202);
  return tokenOf(app, email, 'change-email');
}

const expire = (email: string) =>
  app.database.query('update account_tokens set expires_at = now() where email = $1', [email]);

async function auditOf({ userId }: Account): Promise<string[]> {
  const rows = await app.database.query<{ action: string }>(
    'select action from audit_entries where target_id = $1 order by created_at, id',
    [userId],
  );
  return rows.map(({ action }) => action);
}

describe('a new account', () => {
  it('is sent a link that verifies its address, once', async () => {
    const account = await app.register();
    expect(await userOf(account)).toMatchObject({ email_verified_at: null });
    const [mail] = await finishedMails(app, account.email, 'verify-email');
    expect(mail).toMatchObject({ status: 'RECORDED' });
    const token = await tokenOf(app, account.email, 'verify-email');
    await verify(account, token).expect(204);
    expect((await userOf(account))?.['email_verified_at']).toBeInstanceOf(Date);
    const { body } = await verify(account, token).expect(422);
    expect(body).toMatchObject({ code: 'invalid-token', type: '/problems/invalid-token' });
    expect(await auditOf(account)).toEqual(
      expect.arrayContaining(['email.verification-requested', 'email.verified']),
    );
  });

  it('can have it sent again, and then both work until the address is verified', async () => {
    const account = await app.register();
    const first = await tokenOf(app, account.email, 'verify-email');
    const { body } = await resend(account).expect(202);
    expect(body).toEqual({ status: 'accepted' });
    const second = await tokenOf(app, account.email, 'verify-email', 2);
    expect(second).not.toBe(first);
    await verify(account, first).expect(204);
    await resend(account).expect(202);
    await settleMail(app);
    expect(await mailRows(app, account.email)).toHaveLength(2);
  });

  it('is sent five of them within an hour at the most', async () => {
    const account = await app.register();
    await Promise.all(Array.from({ length: 12 }, () => resend(account).expect(202)));
    await settleMail(app);
    const mails = await mailRows(app, account.email);
    expect(mails.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 'RECORDED'));
    const tokens = await app.database.query('select 1 from account_tokens where user_id = $1', [
      account.userId,
    ]);
    expect(tokens).toHaveLength(5);
    // The next hour has five of its own.
    await app.database.query(
      `update account_tokens set created_at = created_at - interval '1 hour' where user_id = $1`,
      [account.userId],
    );
    await resend(account).expect(202);
    await settleMail(app);
    expect(await mailRows(app, account.email)).toHaveLength(6);
  });

  it('asks for it only when it is signed in', async () => {
    await post('auth/verify-email/resend', {}).expect(401);
  });
});

describe('a token', () => {
  let someone: Account;

  beforeAll(async () => {
    someone = await app.register();
  });

  it.each([
    '',
    'x',
    'A'.repeat(43),
    'A'.repeat(201),
    7,
    null,
    ['a'],
    { $ne: null },
    "' or 1=1 --",
    '\0',
    '\ud800',
  ])('is not %j', async (token) => {
    const bodies = [
      ['verify-email', { token }],
      ['reset-password', { token, password: NEW_PASSWORD }],
      ['confirm-email', { token }],
    ] as const;
    for (const [path, body] of bodies) {
      const answer = await app.as(someone).post(`/api/v1/auth/${path}`).send(body).expect(422);
      expect(answer.body.code).toMatch(/^(invalid-token|validation-failed)$/);
    }
  });

  it('that vouches for an address is taken of the account alone that it was sent for', async () => {
    const [squatter, owner] = await Promise.all([app.register(), app.register()]);
    const verification = await tokenOf(app, squatter.email, 'verify-email');
    const change = await changeTokenOf(squatter, anEmail());
    await post('auth/verify-email', { token: verification }).expect(401);
    await post('auth/confirm-email', { token: change }).expect(401);
    await verify(owner, verification).expect(422);
    await confirm(owner, change).expect(422);
    const [unchanged] = await app.database.query(
      'select email, email_verified_at from users where id = $1',
      [squatter.userId],
    );
    expect(unchanged).toEqual({ email: squatter.email, email_verified_at: null });
    // Nobody else has used it up.
    await verify(squatter, verification).expect(204);
  });

  it('is good for its own purpose alone', async () => {
    const account = await app.register();
    const tokens = {
      verify: await tokenOf(app, account.email, 'verify-email'),
      reset: await resetTokenOf(account),
      change: await changeTokenOf(account, anEmail()),
    };
    await verify(account, tokens.reset).expect(422);
    await verify(account, tokens.change).expect(422);
    await reset(tokens.verify).expect(422);
    await reset(tokens.change).expect(422);
    await confirm(account, tokens.verify).expect(422);
    await confirm(account, tokens.reset).expect(422);
    await verify(account, tokens.verify).expect(204);
  });

  it('is good for its time alone', async () => {
    const account = await app.register();
    const changed = anEmail();
    const token = await tokenOf(app, account.email, 'verify-email');
    const resetToken = await resetTokenOf(account);
    const changeToken = await changeTokenOf(account, changed);
    const lifetimes = await app.database.query<{ purpose: string; hours: number }>(
      `select purpose, round(extract(epoch from expires_at - now()) / 3600)::int as hours
       from account_tokens where user_id = $1 order by purpose`,
      [account.userId],
    );
    expect(lifetimes).toEqual([
      { purpose: 'change-email', hours: 24 },
      { purpose: 'reset-password', hours: 1 },
      { purpose: 'verify-email', hours: 72 },
    ]);
    await expire(account.email);
    await expire(changed);
    await verify(account, token).expect(422);
    await reset(resetToken).expect(422);
    await confirm(account, changeToken).expect(422);
  });

  it('of an account that was disabled since is good for nothing', async () => {
    const account = await app.register();
    const token = await tokenOf(app, account.email, 'verify-email');
    const resetToken = await resetTokenOf(account);
    const changeToken = await changeTokenOf(account, anEmail());
    await app.database.query('update users set disabled_at = now() where id = $1', [
      account.userId,
    ]);
    await verify(account, token).expect(401);
    await reset(resetToken).expect(422);
    await confirm(account, changeToken).expect(401);
    const before = (await mailRows(app, account.email)).length;
    await forgot(account.email).expect(202);
    await settleMail(app);
    expect(await mailRows(app, account.email)).toHaveLength(before);
  });
});

describe('a forgotten password', () => {
  it('is replaced by who reads the mail, and whoever was signed in is so no more', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    await reset(token).expect(204);
    await app.as(account).get('/api/v1/images').expect(401);
    await post('auth/refresh', { refreshToken: account.refreshToken }).expect(401);
    await login(account.email, account.password).expect(401);
    const { body } = await login(account.email, NEW_PASSWORD).expect(200);
    expect(body.user.emailVerified).toBe(true);
    await reset(token, 'another password').expect(422);
    expect(await auditOf(account)).toEqual(
      expect.arrayContaining([
        'password.reset-issued',
        'password.reset',
        'email.verified',
        'session.ended',
      ]),
    );
  });

  it('is asked for in the same words whether there is an account or not', async () => {
    const account = await app.register();
    const stranger = anEmail();
    const answers = await Promise.all([forgot(account.email), forgot(stranger)]);
    const [known, unknown] = answers.map(({ status, body }) => ({ status, body }));
    expect(known).toEqual({ status: 202, body: { status: 'accepted' } });
    expect(unknown).toEqual(known);
    await settleMail(app);
    expect(await mailRows(app, stranger)).toEqual([]);
    const [entry] = await app.database.query<Record<string, unknown>>(
      `select count(*)::int as entries from audit_entries
       where action = 'password.reset-requested' and actor_kind = 'anonymous'`,
    );
    expect(entry?.['entries']).toBeGreaterThanOrEqual(2);
  });

  it('writes the same rows whether there is an account or not', async () => {
    await app.worker?.stop();
    const account = await app.register();
    const stranger = anEmail();
    const countRows = async () => {
      const tables = ['outgoing_mail', 'audit_entries', 'audit_details', 'account_tokens'];
      const counts = tables.map((table) => `(select count(*) from ${table})::int as ${table}`);
      const [row] = await app.database.query<Record<string, number>>(`select ${counts.join()}`);
      return row!;
    };
    const added: Record<string, number>[] = [];
    for (const email of [account.email, stranger]) {
      const before = await countRows();
      await forgot(email).expect(202);
      const after = await countRows();
      added.push(
        Object.fromEntries(Object.keys(after).map((name) => [name, after[name]! - before[name]!])),
      );
    }
    const one = { outgoing_mail: 1, audit_entries: 1, audit_details: 1, account_tokens: 0 };
    expect(added).toEqual([one, one]);
    await app.startWorker();
    await settleMail(app);
  });

  it('is replaced once by twenty who bring the same token at once', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    const passwords = Array.from({ length: 20 }, (_, index) => `password number ${index}`);
    const answers = await Promise.all(passwords.map((password) => reset(token, password)));
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([204, ...Array.from({ length: 19 }, () => 422)]);
    const winner = passwords[answers.findIndex(({ status }) => status === 204)]!;
    await login(account.email, winner).expect(200);
  });

  it('leaves no other token of the account good, used at once or not', async () => {
    const account = await app.register();
    const stolen = await changeTokenOf(account, anEmail());
    const verification = await tokenOf(app, account.email, 'verify-email');
    const tokens = [await resetTokenOf(account), await resetTokenOf(account, 2)];
    const answers = await Promise.all(tokens.map((token) => reset(token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 422]);
    const owner = await signedInAgain(account);
    await confirm(owner, stolen).expect(422);
    await verify(owner, verification).expect(422);
  });

  it('also stops a change of address whose mail has not been sent yet', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    await app.worker?.stop();
    const thief = anEmail();
    await changeEmail(account, thief).expect(202);
    await reset(token).expect(204);
    await app.startWorker();
    await settleMail(app);
    expect(await mailRows(app, thief)).toEqual([]);
  });

  it('also stops a change of address that waits for its password to be checked', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    const thief = anEmail();
    const { verified, release } = holdNextPassword(app);
    const change = changeEmail(account, thief).then(({ status, body }) => [status, body.code]);
    await verified;
    await reset(token).expect(204);
    release();
    expect(await change).toEqual([403, 'wrong-password']);
    await settleMail(app);
    expect(await mailRows(app, thief)).toEqual([]);
  });

  it('takes a Google account off, whoever linked it', async () => {
    const [squatted, own] = await Promise.all([app.register(), app.register()]);
    await verify(own, await tokenOf(app, own.email, 'verify-email')).expect(204);
    for (const account of [squatted, own]) {
      await app.database.query('update users set google_id = $1 where id = $2', [
        newId(),
        account.userId,
      ]);
      await reset(await resetTokenOf(account)).expect(204);
    }
    expect((await userOf(squatted))?.['google_id']).toBeNull();
    expect((await userOf(own))?.['google_id']).toBeNull();
  });

  it('takes an authenticator off that was set up before anybody had proved the address', async () => {
    const squatted = await app.register();
    const secret = await requestTotp(app, squatted);
    const confirmation = { code: codeOf(secret) };
    await app.as(squatted).post('/api/v1/me/totp/confirmation').send(confirmation).expect(200);
    const own = await enrol(app);
    for (const account of [squatted, own]) {
      await reset(await resetTokenOf(account)).expect(204);
    }
    await login(squatted.email, NEW_PASSWORD).expect(200);
    expect((await login(own.email, NEW_PASSWORD).expect(401)).body.code).toBe('totp-required');
  });

  it('can be given to an account that had none', async () => {
    const account = await app.register();
    await app.database.query('update users set password_hash = null where id = $1', [
      account.userId,
    ]);
    await reset(await resetTokenOf(account)).expect(204);
    await login(account.email, NEW_PASSWORD).expect(200);
  });

  it('is not replaced by one that is too short, which leaves the token good', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    const { body } = await reset(token, 'short').expect(422);
    expect(body).toMatchObject({ code: 'validation-failed', errors: [{ path: 'body.password' }] });
    await reset(token).expect(204);
  });

  it.each([{}, { email: 7 }, { email: 'nobody' }, { email: 'a@b.example', x: 1 }, []])(
    'is not asked for with %j',
    async (body) => {
      await post('auth/forgot-password', body).expect(422);
    },
  );
});

describe('another address', () => {
  it('is the account’s once it is confirmed, and the old one is told', async () => {
    const account = await app.register();
    const email = anEmail();
    const token = await changeTokenOf(account, email.toUpperCase().toLowerCase());
    expect(await userOf(account)).toMatchObject({ email: account.email });
    await confirm(account, token).expect(204);
    const user = await userOf(account);
    expect(user).toMatchObject({ email, email_verified_at: expect.any(Date) });
    await login(email, account.password).expect(200);
    await login(account.email, account.password).expect(401);
    const [notice] = await finishedMails(app, account.email, 'email-changed');
    expect(notice).toMatchObject({ subject: 'Your e-mail address was changed' });
    expect(notice?.text).not.toContain(email);
    await confirm(account, token).expect(422);
    expect(await auditOf(account)).toEqual(
      expect.arrayContaining(['email.change-requested', 'email.changed']),
    );
    const [details] = await app.database.query(
      `select details.before, details.after from audit_details as details
       join audit_entries as entry on entry.id = details.entry_id
       where entry.action = 'email.changed' and entry.target_id = $1`,
      [account.userId],
    );
    expect(details).toEqual({ before: { email: account.email }, after: { email } });
  });

  it('makes what was sent to the old one good for nothing', async () => {
    const account = await app.register();
    const verification = await tokenOf(app, account.email, 'verify-email');
    const resetToken = await resetTokenOf(account);
    const other = await changeTokenOf(account, anEmail());
    await confirm(account, await changeTokenOf(account, anEmail())).expect(204);
    await verify(account, verification).expect(422);
    await reset(resetToken).expect(422);
    await confirm(account, other).expect(422);
  });

  it('needs the password of the account, when it has one', async () => {
    const account = await app.register();
    for (const password of [null, 'wrong password']) {
      const { body } = await changeEmail(account, anEmail(), password).expect(403);
      expect(body.code).toBe('wrong-password');
    }
    expect(await auditOf(account)).toContain('email.change-refused');
    await app.database.query('update users set password_hash = null where id = $1', [
      account.userId,
    ]);
    await changeEmail(account, anEmail(), null).expect(202);
    await app.database.query(
      `update sessions set created_at = now() - interval '16 minutes' where user_id = $1`,
      [account.userId],
    );
    const late = await changeEmail(account, anEmail(), null).expect(403);
    expect(late.body.code).toBe('sign-in-again');
    await post('me/email', { email: anEmail() }).expect(401);
  });

  it('that is taken is sent nothing, and nobody is told so', async () => {
    const [account, stranger] = await Promise.all([app.register(), app.register()]);
    await settleMail(app);
    const before = await mailRows(app, stranger.email);
    const { body } = await changeEmail(account, stranger.email.toUpperCase()).expect(202);
    expect(body).toEqual({ status: 'accepted' });
    await settleMail(app);
    expect(await mailRows(app, stranger.email)).toEqual(before);
    const left = await app.database.query(
      `select used_at is not null as "isUsed" from account_tokens
       where user_id = $1 and purpose = 'change-email'`,
      [account.userId],
    );
    // As good for nothing as none, and counted as if it had been sent.
    expect(left).toEqual([{ isUsed: true }]);
  });

  it('is whose who confirms it first, also when two do so at once', async () => {
    const accounts = await Promise.all([app.register(), app.register()]);
    const email = anEmail();
    const tokens: string[] = [];
    for (const [index, account] of accounts.entries()) {
      await changeEmail(account, email).expect(202);
      tokens.push(await tokenOf(app, email, 'change-email', index + 1));
    }
    const answers = await Promise.all(
      tokens.map((token, index) => confirm(accounts[index]!, token)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    const refused = answers.find(({ status }) => status === 409);
    expect(refused?.body.code).toBe('email-taken');
    const loser = accounts[answers.indexOf(refused!)]!;
    expect(await userOf(loser)).toMatchObject({ email: loser.email, email_verified_at: null });
  });

  it('is in the language of the account', async () => {
    const account = await app.register();
    await app.database.query(`update users set language = 'es-AR' where id = $1`, [account.userId]);
    const email = anEmail();
    await confirm(account, await changeTokenOf(account, email)).expect(204);
    const [request] = await finishedMails(app, email, 'change-email');
    expect(request?.subject).toBe('Confirma tu nueva dirección de correo');
    const [notice] = await finishedMails(app, account.email, 'email-changed');
    expect(notice?.subject).toBe('Tu dirección de correo ha cambiado');
  });
});
