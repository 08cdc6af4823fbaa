import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { registerAdmin } from './administrators.js';
import { anEmail, byStatus, endMinute, signIn } from './guesses.js';
import { whileHeld } from './held-accounts.js';
import { holdNextPassword } from './held-passwords.js';
import { tokenOf } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';

const NEW_PASSWORD = 'a better password';

let app: TestingApp;

beforeAll(async () => {
  const variables = { APP_URL: 'https://app.example.com', RATE_LIMITS: 'on' };
  app = await TestingApp.start({ variables });
});

afterAll(() => app.close());

const post = (path: string, body: object) => app.http.post(`/api/v1/${path}`).send(body);
const reset = (token: string) => post('auth/reset-password', { token, password: NEW_PASSWORD });

async function resetTokenOf({ email }: Account): Promise<string> {
  await post('auth/forgot-password', { email }).expect(202);
  return tokenOf(app, email, 'reset-password');
}

const liveSessionsOf = ({ userId }: Account) =>
  app.database.query('select 1 from sessions where user_id = $1 and ended_at is null', [userId]);

describe('a sign-in whose password is right', () => {
  /** Signs in; while the password is verified already, something else happens to the account. */
  async function signInDuring(account: Account, work: () => Promise<unknown>) {
    const { verified, release } = holdNextPassword(app);
    const answer = signIn(app.url, account);
    await verified;
    await work();
    release();
    return answer;
  }

  it('is let in when nothing happens meanwhile', async () => {
    const account = await app.register();
    const { status } = await signInDuring(account, () => Promise.resolve());
    expect(status).toBe(200);
    expect(await liveSessionsOf(account)).toHaveLength(2);
  });

  it('begins no session when the password is replaced meanwhile', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    const { status, body } = await signInDuring(account, () => reset(token).expect(204));
    expect([status, body.code]).toEqual([401, 'invalid-credentials']);
    expect(await liveSessionsOf(account)).toEqual([]);
  });

  it('begins no session when the account is disabled meanwhile', async () => {
    const [account, admin] = await Promise.all([app.register(), registerAdmin(app)]);
    const disable = `/api/v1/admin/users/${account.userId}/disable`;
    const { status, body } = await signInDuring(account, () =>
      app.as(admin).post(disable).expect(200),
    );
    expect([status, body.code]).toEqual([401, 'invalid-credentials']);
    expect(await liveSessionsOf(account)).toEqual([]);
  });

  it('is let in without a second factor that is being switched on: that ends no session', async () => {
    const account = await app.register();
    const { waited, answers } = await whileHeld(
      app,
      account,
      [() => signIn(app.url, account)],
      (client) =>
        client.query(
          `insert into totp_secrets (id, user_id, sealed, created_at, confirmed_at)
           values (gen_random_uuid(), $1, 'sealed', now(), now())`,
          [account.userId],
        ),
    );
    expect([waited, answers[0]?.status]).toEqual([1, 200]);
    const { status, body } = await signIn(app.url, account);
    expect([status, body.code]).toEqual([401, 'totp-required']);
  });

  it.each([
    ['disables', 'update users set disabled_at = now() where id = $1'],
    ['erases the password of', 'update users set password_hash = null where id = $1'],
  ])('waits for who %s the account, and begins no session then', async (_what, change) => {
    const account = await app.register();
    const { waited, answers } = await whileHeld(
      app,
      account,
      [() => signIn(app.url, account)],
      async (client) => {
        await client.query(change, [account.userId]);
        await client.query('update sessions set ended_at = now() where user_id = $1', [
          account.userId,
        ]);
      },
    );
    expect([waited, byStatus(answers)]).toEqual([1, { 401: 1 }]);
    expect(await liveSessionsOf(account)).toEqual([]);
  });
});

describe('a token of a mail', () => {
  it('that two bring before either has used it is used once', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    const both = [() => reset(token), () => reset(token)];
    const { answers } = await whileHeld(app, account, both, () => Promise.resolve());
    expect(byStatus(answers)).toEqual({ 204: 1, 422: 1 });
  });

  it('waits for who holds the account, and is worth nothing when they have revoked it', async () => {
    const account = await app.register();
    const token = await resetTokenOf(account);
    const both = [() => reset(token), () => reset(token)];
    const { answers } = await whileHeld(app, account, both, (client) =>
      client.query('update account_tokens set used_at = now() where user_id = $1', [
        account.userId,
      ]),
    );
    expect(byStatus(answers)).toEqual({ 422: 2 });
    expect((await signIn(app.url, account)).status).toBe(200);
  });
});

describe('the password that a change of address asks for', () => {
  const changeEmail = (account: Account, password: string) =>
    app.as(account).post('/api/v1/me/email').send({ email: anEmail(), password });

  it('may be wrong as often as at the sign-in', async () => {
    await endMinute(app);
    const account = await app.register();
    const answers = [];
    for (let each = 0; each < 11; each += 1) {
      answers.push(await changeEmail(account, `guess ${each}`));
    }
    expect(byStatus(answers)).toEqual({ 403: 10, 429: 1 });
    expect(answers.at(-1)?.status).toBe(429);
    expect((await changeEmail(account, account.password)).status).toBe(429);
    // Counted apart from sign-ins, at which strangers fail.
    expect((await signIn(app.url, account)).status).toBe(200);
  });

  it('is asked of the owner also while strangers fail to sign in', async () => {
    await endMinute(app);
    const account = await app.register();
    const { email } = account;
    for (let each = 0; each < 11; each += 1) {
      await signIn(app.url, { email, password: `guess ${each}` });
    }
    expect((await signIn(app.url, account)).status).toBe(429);
    await changeEmail(account, account.password).expect(202);
  });

  it('is not told to be right when others have failed too often meanwhile', async () => {
    await endMinute(app);
    const account = await app.register();
    const { verified, release } = holdNextPassword(app);
    const right = changeEmail(account, account.password).then(({ status }) => status);
    await verified;
    for (let each = 0; each < 10; each += 1) {
      await changeEmail(account, `guess ${each}`).expect(403);
    }
    release();
    expect(await right).toBe(429);
  });
});
