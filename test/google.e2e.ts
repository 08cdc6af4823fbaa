import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { Browser } from './browser.js';
import { GoogleServer } from './google-server.js';
import { aPerson, GoogleVisits, lastAuditOf, refused, signedIn } from './google-visits.js';
import { TestingApp } from './testing-app.js';

let google: GoogleServer;
let app: TestingApp;
let visits: GoogleVisits;

beforeAll(async () => {
  google = await GoogleServer.start();
  app = await TestingApp.start({ worker: false, variables: google.variables });
  visits = new GoogleVisits(app, google);
});

afterAll(async () => {
  await app.close();
  await google.close();
});

const users = (where: string, value: string) =>
  app.database.query<Record<string, unknown>>(`select * from users where ${where} = $1`, [value]);
const verify = (email: string) =>
  app.database.query('update users set email_verified_at = now() where email = $1', [email]);
const lastAudit = (action: string) => lastAuditOf(app, action);

describe('a first sign-in with Google', () => {
  it('makes a personal account, named and verified as Google says', async () => {
    const person = aPerson({ given_name: 'Ana', family_name: 'Lovelace', locale: 'pt-br' });
    const answer = await visits.signIn({ ...person, email: person.email!.toUpperCase() });
    const body = await signedIn(answer);
    expect(body).toMatchObject({
      tokenType: 'Bearer',
      expiresIn: 900,
      refreshToken: expect.any(String),
      user: {
        email: person.email,
        firstName: 'Ana',
        lastName: 'Lovelace',
        name: 'Ana Lovelace',
        language: 'pt-BR',
        roles: ['USER'],
        emailVerified: true,
      },
    });
    expect(body).not.toHaveProperty('studio');
    await app.http
      .get('/api/v1/images')
      .set('authorization', `Bearer ${body.accessToken}`)
      .expect(200);
    expect(await users('google_id', person.sub)).toMatchObject([
      { id: body.user.id, password_hash: null },
    ]);
    expect(await lastAudit('google.linked')).toMatchObject({
      actor_id: body.user.id,
      after: { by: 'first-sign-in', googleId: person.sub },
    });
  });

  it('takes nothing of a profile that fits no account', async () => {
    const answer = await visits.signIn(aPerson({ name: 'x'.repeat(500), locale: 'no such tag' }));
    expect((await signedIn(answer)).user).toMatchObject({ name: null, language: 'en' });
  });

  it('is followed by others into the same account, whatever the address is by then', async () => {
    const person = aPerson();
    const first = await signedIn(await visits.signIn(person));
    for (const claims of [{ email: `${newId()}@example.com` }, { email_verified: false }]) {
      const again = await signedIn(await visits.signIn({ ...person, ...claims }));
      expect(again.user).toEqual(first.user);
    }
    const { email: _, ...nameless } = person;
    expect((await signedIn(await visits.signIn(nameless))).user).toEqual(first.user);
  });

  it('makes one account of many at once', async () => {
    const person = aPerson();
    google.person = person;
    const ways = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const browser = new Browser();
        return { browser, callback: await visits.toCallback(browser) };
      }),
    );
    const answers = await Promise.all(ways.map(({ browser, callback }) => browser.visit(callback)));
    const bodies = await Promise.all(answers.map(signedIn));
    expect(new Set(bodies.map(({ user }) => user.id)).size).toBe(1);
    expect(await users('email', person.email!)).toHaveLength(1);
  });

  it.each([
    ['unverified', 'email-unverified', { email_verified: false }],
    ['said to be verified by a word', 'email-unverified', { email_verified: 'true' }],
    ['unverified for all that is told', 'email-unverified', { email_verified: undefined }],
    ['missing', 'email-missing', { email: undefined }],
    ['none', 'email-missing', { email: 'not an address' }],
  ])('is refused when the address is %s', async (_how, code, claims) => {
    const person = aPerson(claims);
    await refused(await visits.signIn(person), 403, code);
    expect(await users('google_id', person.sub)).toEqual([]);
  });

  it('lets no disabled account in', async () => {
    const person = aPerson();
    const { user } = await signedIn(await visits.signIn(person));
    await app.database.query('update users set disabled_at = now() where id = $1', [user.id]);
    await refused(await visits.signIn(person), 403, 'account-disabled');
  });
});

describe('an account with the same address', () => {
  it('is opened when both sides have verified it', async () => {
    const account = await app.register();
    await verify(account.email);
    const person = aPerson({ email: account.email });
    const { user } = await signedIn(await visits.signIn(person));
    expect(user.id).toBe(account.userId);
    expect(await lastAudit('google.linked')).toMatchObject({
      actor_id: account.userId,
      after: { by: 'verified-email' },
    });
    await app.as(account).get('/api/v1/images').expect(200);
  });

  it('stays shut when Google has not verified it', async () => {
    const account = await app.register();
    await verify(account.email);
    const person = aPerson({ email: account.email, email_verified: false });
    await refused(await visits.signIn(person), 403, 'email-unverified');
    expect(await users('google_id', person.sub)).toEqual([]);
  });

  it('stays shut to a second Google account', async () => {
    const person = aPerson();
    await visits.signIn(person);
    await refused(await visits.signIn(aPerson({ email: person.email! })), 409, 'link-required');
  });

  it('is linked with one of two that come at once', async () => {
    const account = await app.register();
    await verify(account.email);
    const ways = [];
    for (const person of [1, 2].map(() => aPerson({ email: account.email }))) {
      google.person = person;
      const browser = new Browser();
      ways.push({ browser, callback: await visits.toCallback(browser) });
    }
    const answers = await Promise.all(ways.map(({ browser, callback }) => browser.visit(callback)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  });
});

describe('the routes of Google', () => {
  it('count as calls to sign in', async () => {
    const limited = await TestingApp.start({
      worker: false,
      variables: { ...google.variables, RATE_LIMITS: 'on', SIGN_IN_CALLS_PER_MINUTE: '2' },
    });
    const paths = ['', '/callback', '/callback?code=x'];
    const statuses = [];
    for (const path of paths) {
      statuses.push((await limited.http.get(`/api/v1/auth/google${path}`)).status);
    }
    expect(statuses).toEqual([302, 403, 429]);
    await limited.http.post('/api/v1/auth/google/token').send({ idToken: 'x' }).expect(429);
    await limited.close();
  });
});
