import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Challenges } from '../src/auth/second-factor/challenges.js';
import { newId } from '../src/core/ids.js';
import { registerAdmin } from './administrators.js';
import {
  challengeOf,
  codeOf,
  enrol,
  type Enrolled,
  nextStep,
  proveAddress,
  requestTotp,
  wrongCodeOf,
} from './authenticators.js';
import { byStatus } from './guesses.js';
import { whileHeld } from './held-accounts.js';
import { finishedMails, tokenOf } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';

const NO_CODE = 'abcde-fghij-klmno-pqrst';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { APP_URL: 'https://app.example.com' } });
});

afterAll(() => app.close());

const enter = (challenge: unknown, code: unknown, more: object = {}) =>
  app.http.post('/api/v1/auth/totp').send({ challenge, code, ...more });
const stateOf = (account: Account) => app.as(account).get('/api/v1/me/totp');
const confirm = (account: Account, code: unknown) =>
  app.as(account).post('/api/v1/me/totp/confirmation').send({ code });
const newCodes = (account: Account, body: object) =>
  app.as(account).post('/api/v1/me/totp/recovery-codes').send(body);
const switchOff = (account: Account, body: object) =>
  app.as(account).delete('/api/v1/me/totp').send(body);
const reset = (admin: Account, userId: string) =>
  app.as(admin).delete(`/api/v1/admin/users/${userId}/totp`);
const login = ({ email, password }: Pick<Account, 'email' | 'password'>) =>
  app.http.post('/api/v1/auth/login').send({ email, password });

async function changePassword({ email }: Account, password: string): Promise<void> {
  await app.http.post('/api/v1/auth/forgot-password').send({ email }).expect(202);
  const token = await tokenOf(app, email, 'reset-password');
  await app.http.post('/api/v1/auth/reset-password').send({ token, password }).expect(204);
}

async function secretRow({ userId }: Account) {
  const [row] = await app.database.query<Record<string, unknown>>(
    'select * from totp_secrets where user_id = $1',
    [userId],
  );
  return row;
}

async function sessionsOf({ userId }: Account): Promise<number> {
  const rows = await app.database.query('select 1 from sessions where user_id = $1', [userId]);
  return rows.length;
}

async function auditOf({ userId }: Account): Promise<string[]> {
  const rows = await app.database.query<{ action: string }>(
    'select action from audit_entries where target_id = $1 order by created_at, id',
    [userId],
  );
  return rows.map(({ action }) => action);
}

/** As many times at once. */
const together = <T>(times: number, work: () => PromiseLike<T>) =>
  Promise.all(Array.from({ length: times }, work));

describe('two factors', () => {
  it('are switched on by who has the secret in an authenticator', async () => {
    const account = await app.register();
    const { body: off } = await stateOf(account).expect(200);
    expect(off).toEqual({ state: 'off', recoveryCodesLeft: 0 });

    const { body } = await app
      .as(account)
      .post('/api/v1/me/totp')
      .send({ password: account.password })
      .expect(200);
    expect(body).toEqual({
      secret: expect.stringMatching(/^[A-Z2-7]{32}$/),
      uri: expect.anything(),
    });
    const uri = new URL(body.uri);
    expect(decodeURIComponent(uri.pathname)).toBe(`/Atelier:${account.email}`);
    expect(uri.searchParams.get('secret')).toBe(body.secret);
    expect((await stateOf(account)).body).toEqual({ state: 'pending', recoveryCodesLeft: 0 });
    await login(account).expect(200);
    await proveAddress(app, account);

    const { body: answer } = await confirm(account, codeOf(body.secret)).expect(200);
    expect(new Set(answer.recoveryCodes).size).toBe(10);
    expect((await stateOf(account)).body).toEqual({ state: 'on', recoveryCodesLeft: 10 });
    expect(await auditOf(account)).toEqual(
      expect.arrayContaining(['totp.requested', 'totp.switched-on']),
    );
    const [mail] = await finishedMails(app, account.email, 'totp-switched-on');
    expect(mail).toMatchObject({ status: 'RECORDED', subject: 'Signing in now takes two steps' });
  });

  it('need a code after the password, and then sign in as always', async () => {
    const account = await enrol(app);
    const sessions = await sessionsOf(account);
    const challenge = await challengeOf(app, account);
    expect(await sessionsOf(account)).toBe(sessions);

    const { body } = await enter(challenge, codeOf(account.secret)).expect(200);
    expect(body).toMatchObject({ tokenType: 'Bearer', user: { id: account.userId } });
    expect(Object.keys(body.user)).not.toContain('totp');
    await app
      .as({ ...account, token: body.accessToken })
      .get('/api/v1/images')
      .expect(200);
    const refreshed = await app.http
      .post('/api/v1/auth/refresh')
      .send({ refreshToken: body.refreshToken });
    expect(refreshed.status).toBe(200);
    expect(await sessionsOf(account)).toBe(sessions + 1);
  });

  it('put the refresh token where a browser wants it', async () => {
    const account = await enrol(app);
    const challenge = await challengeOf(app, account);
    const answer = await enter(challenge, codeOf(account.secret), { refreshIn: 'cookie' });
    expect(answer.status).toBe(200);
    expect(answer.body).not.toHaveProperty('refreshToken');
    expect(String(answer.headers['set-cookie'])).toMatch(/HttpOnly/);
  });

  it('are asked for only after a right password', async () => {
    const account = await enrol(app);
    const { body } = await login({ ...account, password: 'wrong password' }).expect(401);
    expect(body.code).toBe('invalid-credentials');
    expect(body).not.toHaveProperty('challenge');
  });

  it('are not on before a code has come back, and asking again makes another secret', async () => {
    const account = await app.register();
    const first = await requestTotp(app, account);
    const second = await requestTotp(app, account);
    expect(second).not.toBe(first);
    const { body } = await confirm(account, codeOf(first)).expect(403);
    expect(body.code).toBe('wrong-code');
    await login(account).expect(200);
    await confirm(account, codeOf(second)).expect(200);
    const { body: again } = await confirm(account, codeOf(second)).expect(409);
    expect(again.code).toBe('totp-on');
    const taken = await app
      .as(account)
      .post('/api/v1/me/totp')
      .send({ password: account.password });
    expect(taken.body).toMatchObject({ status: 409, code: 'totp-on' });
  });

  it('are switched on once by ten who confirm at once', async () => {
    const account = await app.register();
    const secret = await requestTotp(app, account);
    const code = codeOf(secret);
    const answers = await together(10, () => confirm(account, code));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await stateOf(account)).body).toEqual({ state: 'on', recoveryCodesLeft: 10 });
  });

  it('leave one secret when ten ask at once', async () => {
    const account = await app.register();
    const answers = await together(10, () =>
      app.as(account).post('/api/v1/me/totp').send({ password: account.password }),
    );
    expect(byStatus(answers)).toEqual({ 200: 10 });
    const confirmed = [];
    for (const { body } of answers) confirmed.push(await confirm(account, codeOf(body.secret)));
    expect(confirmed.filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await stateOf(account)).body.state).toBe('on');
  });

  it('are switched off with a code or a recovery code, and the password', async () => {
    const account = await enrol(app);
    const { password } = account;
    const code = codeOf(account.secret);
    expect((await switchOff(account, { code })).body.code).toBe('wrong-password');
    expect((await switchOff(account, { code, password: 'wrong' })).body.code).toBe(
      'wrong-password',
    );
    const wrong = { password, code: wrongCodeOf(account.secret) };
    expect((await switchOff(account, wrong)).body).toMatchObject({
      status: 403,
      code: 'wrong-code',
    });
    await switchOff(account, { password, code }).expect(204);
    expect((await stateOf(account)).body).toEqual({ state: 'off', recoveryCodesLeft: 0 });
    await login(account).expect(200);
    expect((await switchOff(account, { password, code })).body).toMatchObject({
      status: 409,
      code: 'totp-off',
    });
    const again = await enrol(app, account);
    await switchOff(again, { password, code: again.recoveryCodes[3] }).expect(204);
    expect(await auditOf(account)).toEqual(
      expect.arrayContaining([
        'totp.change-refused',
        'totp.code-refused',
        'totp.switched-off',
        'recovery-code.used',
      ]),
    );
    await finishedMails(app, account.email, 'totp-switched-off', 2);
  });

  it('of an account without a password need a sign-in of just now to change', async () => {
    const account = await app.register();
    await app.database.query('update users set password_hash = null where id = $1', [
      account.userId,
    ]);
    const beganMinutesAgo = (minutes: number) =>
      app.database.query(
        `update sessions set created_at = now() - make_interval(mins => $2) where user_id = $1`,
        [account.userId, minutes],
      );
    await beganMinutesAgo(16);
    const late = await app.as(account).post('/api/v1/me/totp').send({}).expect(403);
    expect(late.body.code).toBe('sign-in-again');
    await beganMinutesAgo(14);
    const { body } = await app.as(account).post('/api/v1/me/totp').send({}).expect(200);
    await confirm(account, codeOf(body.secret)).expect(200);
    await nextStep(app, account);
    await switchOff(account, { code: codeOf(body.secret) }).expect(204);
  });

  it('are told of in the language of the account', async () => {
    const account = await app.register();
    await app.database.query(`update users set language = 'es' where id = $1`, [account.userId]);
    const enrolled = await enrol(app, account);
    await enter(await challengeOf(app, account), enrolled.recoveryCodes[0]).expect(200);
    const [on] = await finishedMails(app, account.email, 'totp-switched-on');
    expect(on?.subject).toBe('Ahora se inicia sesión en dos pasos');
    const [used] = await finishedMails(app, account.email, 'recovery-code-used');
    expect(used?.text).toContain('Códigos de recuperación que quedan: 9.');
  });
});

describe('a code', () => {
  it('is used once, also within its half minute, and none before it', async () => {
    const account = await enrol(app);
    const challenge = await challengeOf(app, account);
    const [now, next] = [codeOf(account.secret), codeOf(account.secret, 1)];
    await enter(challenge, now).expect(200);
    const { body } = await enter(challenge, now).expect(401);
    expect(body.code).toBe('invalid-code');
    await enter(await challengeOf(app, account), now).expect(401);
    await enter(challenge, next).expect(200);
    await enter(challenge, now).expect(401);
    await enter(challenge, next).expect(401);
  });

  it('that switched two factors on signs nobody in', async () => {
    const account = await app.register();
    const secret = await requestTotp(app, account);
    const code = codeOf(secret);
    await confirm(account, code).expect(200);
    await enter(await challengeOf(app, account), code).expect(401);
  });

  it('begins one session when ten bring it at once', async () => {
    const account = await enrol(app);
    const before = await sessionsOf(account);
    const challenge = await challengeOf(app, account);
    const code = codeOf(account.secret);
    const answers = await together(10, () => enter(challenge, code));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await sessionsOf(account)).toBe(before + 1);
  });

  it('may be written in groups', async () => {
    const account = await enrol(app);
    const code = codeOf(account.secret).replace(/^(...)/, ' $1 ');
    await enter(await challengeOf(app, account), code).expect(200);
  });

  it.each([
    undefined,
    null,
    7,
    '',
    '12345',
    '1234567',
    'x'.repeat(51),
    ['123456'],
    { $gt: '' },
    '１２３４５６',
    '\ud800',
  ])('is not %j', async (code) => {
    const account = await app.register();
    const challenge = 'A'.repeat(72);
    const { body } = await enter(challenge, code).expect(422);
    expect(body.errors).toMatchObject([{ path: 'body.code' }]);
    await confirm(account, code).expect(422);
    await newCodes(account, { code }).expect(422);
    await switchOff(account, { code }).expect(422);
  });

  it('is no field of another kind', async () => {
    const account = await enrol(app);
    const challenge = await challengeOf(app, account);
    const code = codeOf(account.secret);
    await enter(challenge, code, { userId: account.userId }).expect(422);
    await confirm(account, NO_CODE).expect(422);
    await newCodes(account, { password: account.password, code: NO_CODE }).expect(422);
    await app.as(account).post('/api/v1/me/totp').send({ secret: 'x' }).expect(422);
  });
});

describe('a recovery code', () => {
  it('stands in for the authenticator once, and the owner is told', async () => {
    const account = await enrol(app);
    const challenge = await challengeOf(app, account);
    const [first = '', second = ''] = account.recoveryCodes;
    await enter(challenge, first).expect(200);
    const { body } = await enter(challenge, first).expect(401);
    expect(body.code).toBe('invalid-code');
    await enter(challenge, second.toUpperCase().replaceAll('-', ' ')).expect(200);
    expect((await stateOf(account)).body).toEqual({ state: 'on', recoveryCodesLeft: 8 });
    expect(
      (await auditOf(account)).filter((action) => action === 'recovery-code.used'),
    ).toHaveLength(2);
    const [mail] = await finishedMails(app, account.email, 'recovery-code-used', 2);
    expect(mail?.text).toMatch(/Recovery codes left: [89]\./);
    expect(mail?.text).not.toContain(first);
  });

  it('begins one session when ten bring it at once', async () => {
    const account = await enrol(app);
    const before = await sessionsOf(account);
    const challenge = await challengeOf(app, account);
    const answers = await together(10, () => enter(challenge, account.recoveryCodes[0]));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await sessionsOf(account)).toBe(before + 1);
    expect((await stateOf(account)).body.recoveryCodesLeft).toBe(9);
  });

  it('of another account is none', async () => {
    const [account, other] = [await enrol(app), await enrol(app)];
    await enter(await challengeOf(app, account), other.recoveryCodes[0]).expect(401);
    await enter(await challengeOf(app, other), other.recoveryCodes[0]).expect(200);
  });

  it('is good no more once others were made, with the password and a code', async () => {
    const account = await enrol(app);
    const { password } = account;
    const code = codeOf(account.secret);
    await newCodes(account, { code }).expect(403);
    await newCodes(account, { password, code: wrongCodeOf(account.secret) }).expect(403);
    const { body } = await newCodes(account, { password, code }).expect(200);
    expect(new Set([...body.recoveryCodes, ...account.recoveryCodes]).size).toBe(20);
    const challenge = await challengeOf(app, account);
    await enter(challenge, account.recoveryCodes[0]).expect(401);
    await enter(challenge, body.recoveryCodes[0]).expect(200);
    expect(await auditOf(account)).toContain('recovery-codes.replaced');
    const { body: off } = await newCodes(await app.register(), { password, code }).expect(409);
    expect(off.code).toBe('totp-off');
  });
});

describe('a challenge', () => {
  /** Not used up by being refused. */
  async function refuse(challenge: string, account: Enrolled): Promise<void> {
    const { body } = await enter(challenge, codeOf(account.secret)).expect(401);
    expect(body.code).toBe('invalid-challenge');
    expect(body).not.toHaveProperty('challenge');
  }

  it('is none of ours, or of another account', async () => {
    const [account, other] = [await enrol(app), await enrol(app)];
    const challenge = Buffer.from(await challengeOf(app, account), 'base64url');
    const otherId = Buffer.from(other.userId.replaceAll('-', ''), 'hex');
    const forged = [
      Buffer.alloc(challenge.length),
      Buffer.concat([otherId, challenge.subarray(16)]),
      Buffer.concat([challenge.subarray(0, 16), Buffer.alloc(6, 255), challenge.subarray(22)]),
      challenge.subarray(0, -1),
      Buffer.concat([challenge, challenge]),
    ].map((bytes) => bytes.toString('base64url').slice(0, 200));
    for (const each of [...forged, 'x', account.token.slice(0, 200), account.userId]) {
      await refuse(each, account);
      await refuse(each, other);
    }
    await enter(await challengeOf(app, other), codeOf(account.secret)).expect(401);
    await enter(challenge.toString('base64url'), codeOf(account.secret)).expect(200);
  });

  it('is over after five minutes', async () => {
    const account = await enrol(app);
    const row = await secretRow(account);
    const [user] = await app.database.query<{ password_hash: string }>(
      'select password_hash from users where id = $1',
      [account.userId],
    );
    const state = {
      userId: account.userId,
      passwordHash: user!.password_hash,
      secretId: String(row?.['id']),
    };
    const challenges = app.app.get(Challenges, { strict: false });
    await refuse(challenges.issue(state, Date.now() - 301_000), account);
    const challenge = challenges.issue(state, Date.now() - 240_000);
    await enter(challenge, codeOf(account.secret)).expect(200);
  });

  it('is worthless after a change of the password, which leaves two factors on', async () => {
    const account = await enrol(app);
    const challenge = await challengeOf(app, account);
    const password = 'a better password';
    await changePassword(account, password);
    await refuse(challenge, account);
    const again = await challengeOf(app, { ...account, password });
    await enter(again, codeOf(account.secret)).expect(200);
  });

  it('is worthless once the account is disabled, or has another authenticator, or none', async () => {
    const account = await enrol(app);
    const challenge = await challengeOf(app, account);
    const disable = (at: string) =>
      app.database.query(`update users set disabled_at = ${at} where id = $1`, [account.userId]);
    await disable('now()');
    await refuse(challenge, account);
    await disable('null');
    const { password, recoveryCodes } = account;
    await switchOff(account, { password, code: recoveryCodes[0] }).expect(204);
    await refuse(challenge, account);
    await requestTotp(app, account);
    await refuse(challenge, account);
    await refuse(challenge, await enrol(app, account));
  });

  it.each([undefined, null, '', 7, ['x'], 'x'.repeat(201)])('is not %j', async (challenge) => {
    const { body } = await enter(challenge, '123456').expect(422);
    expect(body.errors).toMatchObject([{ path: 'body.challenge' }]);
  });
});

describe('an administrator', () => {
  it('switches two factors off for somebody who has lost theirs', async () => {
    const admin = await registerAdmin(app);
    const account = await enrol(app);
    const challenge = await challengeOf(app, account);
    await reset(admin, account.userId).expect(204);
    expect((await stateOf(account)).body).toEqual({ state: 'off', recoveryCodesLeft: 0 });
    await login(account).expect(200);
    await enter(challenge, codeOf(account.secret)).expect(401);
    await reset(admin, account.userId).expect(204);
    const entries = await app.database.query(
      `select actor_id from audit_entries where target_id = $1 and action = 'totp.reset'`,
      [account.userId],
    );
    expect(entries).toEqual([{ actor_id: admin.userId }]);
    await finishedMails(app, account.email, 'totp-switched-off');
  });

  it('does not so for themselves, nor does anyone else', async () => {
    const admin = await enrol(app, await registerAdmin(app));
    const account = await enrol(app);
    expect((await reset(admin, admin.userId).expect(403)).body.code).toBe('forbidden');
    await reset(account, account.userId).expect(403);
    // Ids have several spellings.
    await reset(admin, admin.userId.toUpperCase()).expect(403);
    await reset(account, admin.userId).expect(403);
    await app.http.delete(`/api/v1/admin/users/${account.userId}/totp`).expect(401);
    expect((await stateOf(account)).body.state).toBe('on');
    expect((await stateOf(admin)).body.state).toBe('on');
    await reset(admin, newId()).expect(404);
    await reset(admin, 'x').expect(422);
  });

  it('does not so once the role is taken away while they wait for the account', async () => {
    const admin = await registerAdmin(app);
    const account = await enrol(app);
    const { waited, answers } = await whileHeld(
      app,
      admin,
      [() => reset(admin, account.userId)],
      (client) => client.query(`update users set roles = '{USER}' where id = $1`, [admin.userId]),
    );
    expect([waited, byStatus(answers)]).toEqual([1, { 403: 1 }]);
    expect((await stateOf(account)).body.state).toBe('on');
    expect(await auditOf(account)).not.toContain('totp.reset');
  });
});
