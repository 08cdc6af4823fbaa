import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Browser } from './browser.js';
import { type GooglePerson, GoogleServer } from './google-server.js';
import { holdNextPassword } from './held-passwords.js';
import { aPerson } from './google-visits.js';
import { finishedMails, mailRows, tokenOf } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';

const APP_URL = 'https://app.example.com';
const NEW_PASSWORD = 'a better password';

let google: GoogleServer;
let app: TestingApp;

beforeAll(async () => {
  google = await GoogleServer.start();
  app = await TestingApp.start({ variables: { ...google.variables, APP_URL } });
});

afterAll(async () => {
  await app.close();
  await google.close();
});

const PATH = '/api/v1/me/google';

async function aVerifiedAccount(): Promise<Account> {
  const account = await app.register();
  await app.database.query('update users set email_verified_at = now() where id = $1', [
    account.userId,
  ]);
  return account;
}

const signIn = (person: GooglePerson) =>
  app.http.post('/api/v1/auth/google/token').send({ idToken: google.idToken(person) });
const link = (account: Account, person: GooglePerson, body: object = {}) =>
  app
    .as(account)
    .post(PATH)
    .send({ idToken: google.idToken(person), password: account.password, ...body });
const unlink = (account: Account, body: object = { password: account.password }) =>
  app.as(account).delete(PATH).send(body);
const login = (email: string, password: string) =>
  app.http.post('/api/v1/auth/login').send({ email, password });

async function isLinked(account: Account): Promise<boolean> {
  return (await app.as(account).get(PATH).expect(200)).body.linked;
}

async function audit({ userId }: Account): Promise<string[]> {
  const rows = await app.database.query<{ action: string }>(
    'select action from audit_entries where target_id = $1 order by created_at, id',
    [userId],
  );
  return rows.map(({ action }) => action).filter((action) => action.startsWith('google.'));
}

/** Someone without a password. */
async function aGoogleAccount(person: GooglePerson): Promise<Account> {
  const { body } = await signIn(person).expect(200);
  const { accessToken: token, refreshToken, user } = body;
  return { email: user.email, password: '', token, refreshToken, userId: user.id };
}

async function resetPassword(email: string): Promise<void> {
  await app.http.post('/api/v1/auth/forgot-password').send({ email }).expect(202);
  const token = await tokenOf(app, email, 'reset-password');
  const body = { token, password: NEW_PASSWORD };
  await app.http.post('/api/v1/auth/reset-password').send(body).expect(204);
}

describe('linking', () => {
  it('has Google open the account, and ends no session', async () => {
    const account = await aVerifiedAccount();
    const person = aPerson();
    expect(await isLinked(account)).toBe(false);
    await link(account, person).expect(204);
    await link(account, person).expect(204);
    expect(await isLinked(account)).toBe(true);
    expect((await signIn(person).expect(200)).body.user.id).toBe(account.userId);
    expect(await audit(account)).toEqual(['google.linked']);
  });

  it('is told to the owner, and unlinking as well, where the address is theirs', async () => {
    const [proved, unproved] = await Promise.all([aVerifiedAccount(), app.register()]);
    await link(proved, aPerson()).expect(204);
    await unlink(proved).expect(204);
    const [linked] = await finishedMails(app, proved.email, 'google-linked');
    expect(linked?.subject).toBe('A Google account now opens your account');
    const [unlinked] = await finishedMails(app, proved.email, 'google-unlinked');
    expect(unlinked?.subject).toBe('No Google account opens your account any more');
    await link(unproved, aPerson()).expect(403);
    expect(await mailRows(app, unproved.email)).toEqual([
      expect.objectContaining({ template: 'verify-email' }),
    ]);
  });

  it('is not undone by a password that was changed while it was looked at', async () => {
    const account = await aVerifiedAccount();
    await link(account, aPerson()).expect(204);
    const { verified, release } = holdNextPassword(app);
    const undone = unlink(account).then(({ status, body }) => [status, body.code]);
    await verified;
    const passwords = { currentPassword: account.password, newPassword: NEW_PASSWORD };
    const { body } = await app.as(account).put('/api/v1/me/password').send(passwords).expect(200);
    release();
    expect(await undone).toEqual([403, 'wrong-password']);
    expect(await isLinked({ ...account, token: body.accessToken })).toBe(true);
  });

  it('does not outlive a reset of the password, whoever did it', async () => {
    const account = await aVerifiedAccount();
    const thief = aPerson();
    await link(account, thief).expect(204);
    await resetPassword(account.email);
    const { body } = await signIn(thief).expect(200);
    expect(body.user.id).not.toBe(account.userId);
  });

  it.each([
    [
      'wrong',
      ['google.link-refused', 'google.link-refused', 'google.linked', 'google.unlink-refused'],
    ],
    // Nobody has guessed.
    [undefined, ['google.linked']],
  ])('needs the password, which is not %s', async (password, remembered) => {
    const account = await aVerifiedAccount();
    const person = aPerson();
    expect((await link(account, person, { password }).expect(403)).body.code).toBe(
      'wrong-password',
    );
    const begun = await app.as(account).post(`${PATH}/link`).send({ password }).expect(403);
    expect(begun.headers['set-cookie']).toBeUndefined();
    await link(account, person).expect(204);
    expect((await unlink(account, { password }).expect(403)).body.code).toBe('wrong-password');
    expect(await isLinked(account)).toBe(true);
    expect(await audit(account)).toEqual(remembered);
  });

  it('takes nobody else’s Google account, also when many try at once', async () => {
    const person = aPerson();
    const accounts = await Promise.all([1, 2, 3, 4].map(() => aVerifiedAccount()));
    const answers = await Promise.all(accounts.map((account) => link(account, person)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409, 409, 409]);
    const refusals = answers.filter(({ status }) => status === 409);
    expect(new Set(refusals.map(({ body }) => body.code))).toEqual(new Set(['google-taken']));
    const owner = accounts[answers.findIndex(({ status }) => status === 204)]!;
    expect((await signIn(person)).body.user.id).toBe(owner.userId);
  });

  it('takes one Google account for each account', async () => {
    const account = await aVerifiedAccount();
    const answers = await Promise.all([aPerson(), aPerson()].map((each) => link(account, each)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    expect(answers.find(({ status }) => status === 409)?.body.code).toBe('google-linked');
  });

  it('takes no forged token', async () => {
    const account = await aVerifiedAccount();
    const idToken = google.idToken(aPerson(), { aud: 'another' });
    await link(account, aPerson(), { idToken }).expect(401);
    expect(await isLinked(account)).toBe(false);
  });

  it('proves the address of the account when Google has verified the same', async () => {
    const account = await app.register();
    await link(account, aPerson()).expect(403);
    await link(account, aPerson({ email: account.email, email_verified: false })).expect(403);
    await link(account, aPerson({ email: account.email })).expect(204);
    const [user] = await app.database.query<Record<string, unknown>>(
      'select * from users where id = $1',
      [account.userId],
    );
    expect(user?.['email_verified_at']).toBeInstanceOf(Date);
  });
});

describe('linking in a browser', () => {
  async function begin(account: Account, browser: Browser, body: object = {}): Promise<string> {
    const answer = await browser.visit(`${app.url}${PATH}/link`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${account.token}` },
      body: JSON.stringify({ password: account.password, ...body }),
    });
    const { url } = (await answer.json()) as { url: string };
    return Browser.next(await browser.visit(url));
  }

  it('goes to Google and back to the app', async () => {
    const account = await aVerifiedAccount();
    google.person = aPerson();
    const browser = new Browser();
    const answer = await browser.visit(await begin(account, browser, { returnTo: '/settings' }));
    expect([answer.status, Browser.next(answer)]).toEqual([303, `${APP_URL}/settings`]);
    // Nobody is signed in by it.
    expect(browser.cookies.size).toBe(0);
    expect(await isLinked(account)).toBe(true);
  });

  it('ends nowhere but in the browser in which it was begun', async () => {
    const account = await aVerifiedAccount();
    google.person = aPerson();
    const callback = await begin(account, new Browser());
    const answer = await new Browser().visit(callback);
    expect([answer.status, await answer.json()]).toEqual([
      403,
      expect.objectContaining({ code: 'invalid-state' }),
    ]);
    expect(await isLinked(account)).toBe(false);
  });

  it('links nothing for who has signed out meanwhile, or was disabled', async () => {
    for (const change of [
      (account: Account) => app.as(account).post('/api/v1/auth/logout-all').expect(204),
      ({ userId }: Account) =>
        app.database.query('update users set disabled_at = now() where id = $1', [userId]),
    ]) {
      const account = await aVerifiedAccount();
      google.person = aPerson();
      const browser = new Browser();
      const callback = await begin(account, browser);
      await change(account);
      const answer = await browser.visit(callback);
      expect(Browser.next(answer)).toBe(`${APP_URL}/#error=unauthenticated`);
      const rows = await app.database.query('select 1 from users where google_id = $1', [
        google.person.sub,
      ]);
      expect(rows).toEqual([]);
    }
  });

  it('tells the app why nothing was linked', async () => {
    const account = await aVerifiedAccount();
    google.person = aPerson();
    await signIn(google.person).expect(200);
    const browser = new Browser();
    const answer = await browser.visit(await begin(account, browser));
    expect(Browser.next(answer)).toBe(`${APP_URL}/#error=google-taken`);
  });
});

describe('unlinking', () => {
  it('closes the account to Google, and ends no session', async () => {
    const account = await aVerifiedAccount();
    const person = aPerson();
    await link(account, person).expect(204);
    await unlink(account).expect(204);
    await unlink(account).expect(204);
    expect(await isLinked(account)).toBe(false);
    expect((await signIn(person).expect(200)).body.user.id).not.toBe(account.userId);
    expect(await audit(account)).toEqual(['google.linked', 'google.unlinked']);
  });

  it('is refused to who could not sign in any more, until there is a password', async () => {
    const person = aPerson();
    const account = await aGoogleAccount(person);
    expect((await unlink(account, {}).expect(409)).body.code).toBe('last-sign-in-way');
    await resetPassword(account.email);
    const { body } = await login(account.email, NEW_PASSWORD).expect(200);
    const again = { ...account, token: body.accessToken };
    await unlink(again, { password: NEW_PASSWORD }).expect(204);
  });
});

describe('somebody who registers with the address of another', () => {
  it('keeps them out, and never gets in to what is theirs', async () => {
    const attacker = await app.register();
    const victim = aPerson({ email: attacker.email });
    expect((await signIn(victim).expect(409)).body.code).toBe('link-required');
    expect(await isLinked(attacker)).toBe(false);

    // Only who reads mail at the address gets in now, and everybody else out.
    await resetPassword(attacker.email);
    const { body } = await signIn(victim).expect(200);
    expect(body.user).toMatchObject({ id: attacker.userId, emailVerified: true });
    await login(attacker.email, attacker.password).expect(401);
    await app.as(attacker).get(PATH).expect(401);
    const { refreshToken } = attacker;
    await app.http.post('/api/v1/auth/refresh').send({ refreshToken }).expect(401);
  });

  it('links no Google account of their own, by which to come back', async () => {
    const attacker = await app.register();
    const own = aPerson();
    expect((await link(attacker, own).expect(403)).body.code).toBe('email-unverified');
    // As it could be from before there was this rule.
    await app.database.query('update users set google_id = $1 where id = $2', [
      own.sub,
      attacker.userId,
    ]);
    const victim = aPerson({ email: attacker.email });
    await signIn(victim).expect(409);
    await resetPassword(attacker.email);
    expect((await signIn(victim).expect(200)).body.user.id).toBe(attacker.userId);
    expect((await signIn(own).expect(200)).body.user.id).not.toBe(attacker.userId);
  });

  it('comes too late when the other has signed in with Google before', async () => {
    const person = aPerson();
    const victim = await aGoogleAccount(person);
    const taken = await app.http
      .post('/api/v1/auth/register')
      .send({ email: person.email!.toUpperCase(), password: 'attacking', name: 'x' })
      .expect(409);
    expect(taken.body.code).toBe('email-taken');
    await login(person.email!, 'attacking').expect(401);
    await login(person.email!, '').expect(401);
    expect((await signIn(person).expect(200)).body.user.id).toBe(victim.userId);
  });

  it('gets the address or does not, when both come at once: never the account', async () => {
    for (let round = 0; round < 5; round += 1) {
      const person = aPerson();
      const body = { email: person.email, password: 'attacking', name: 'x' };
      const [google, register] = await Promise.all([
        signIn(person),
        app.http.post('/api/v1/auth/register').send(body),
      ]);
      expect([
        [200, 409],
        [409, 201],
      ]).toContainEqual([google.status, register.status]);
    }
  });
});

describe('a server without a client at Google', () => {
  it('says so on each route, whatever it is sent', async () => {
    const without = await TestingApp.start({ worker: false });
    const account = await without.register();
    const user = without.as(account);
    const answers = [
      await without.http.get('/api/v1/auth/google'),
      await without.http.get('/api/v1/auth/google?returnTo=//evil.example'),
      await without.http.get('/api/v1/auth/google/callback?code=x&state=y'),
      await without.http.post('/api/v1/auth/google/token').send({}),
      await user.get(PATH),
      await user.post(PATH).send({}),
      await user.post(`${PATH}/link`).send({}),
      await user.delete(PATH),
    ];
    for (const { status, body } of answers) {
      expect([status, body.code]).toEqual([503, 'google-not-configured']);
    }
    await without.close();
  });

  it('is told from one with it by the capabilities', async () => {
    const { body } = await app.http.get('/health/capabilities').expect(200);
    expect(body.capabilities).toContainEqual({
      part: 'sign-in',
      driver: 'password+google',
      embedded: false,
    });
  });
});
