import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { newId } from '../src/core/ids.js';
import { SessionUpkeep } from '../src/auth/sessions/session-upkeep.js';
import { REFRESH_COOKIE } from '../src/auth/sign-in/refresh-cookie.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

const refresh = (refreshToken: string) =>
  app.http.post('/api/v1/auth/refresh').send({ refreshToken });
const sessionOf = ({ token }: Account) => (jwt.decode(token) as { sid: string }).sid;

async function signInAgain({ email, password, userId }: Account): Promise<Account> {
  const { body } = await app.http.post('/api/v1/auth/login').send({ email, password }).expect(200);
  const { accessToken: token, refreshToken } = body;
  return { email, password, userId, token, refreshToken };
}

/** Puts the last rotation of a session so far back that the grace is over. */
async function waitOutTheGrace(account: Account): Promise<void> {
  await app.database.query(
    `update sessions set rotated_at = rotated_at - interval '10 seconds' where id = $1`,
    [sessionOf(account)],
  );
}

async function endOf(account: Account): Promise<string | null | undefined> {
  const [row] = await app.database.query<{ because: string | null }>(
    'select ended_because as because from sessions where id = $1',
    [sessionOf(account)],
  );
  return row?.because;
}

describe('a refresh token', () => {
  it('is answered with its successor, and with an access token of the same session', async () => {
    const account = await app.register('studio');
    const { body } = await refresh(account.refreshToken).expect(200);
    expect(body).toEqual({
      accessToken: expect.any(String),
      refreshToken: expect.any(String),
      tokenType: 'Bearer',
      expiresIn: 900,
      user: expect.objectContaining({ id: account.userId, email: account.email }),
      studio: expect.objectContaining({ role: 'OWNER' }),
    });
    expect(body.refreshToken).not.toBe(account.refreshToken);
    expect(jwt.decode(body.accessToken)).toMatchObject({ sid: sessionOf(account) });
    await app
      .as({ ...account, token: body.accessToken })
      .get('/api/v1/images')
      .expect(200);
    await refresh(body.refreshToken).expect(200);
  });

  it('is stored as a hash alone, and its successor as well', async () => {
    const account = await app.register();
    const { body } = await refresh(account.refreshToken).expect(200);
    const rows = JSON.stringify(await app.database.query('select * from sessions'));
    expect(rows).not.toContain(account.refreshToken);
    expect(rows).not.toContain(body.refreshToken);
  });

  it('that comes again within ten seconds is told the same successor', async () => {
    const account = await app.register();
    const first = await refresh(account.refreshToken).expect(200);
    const again = await refresh(account.refreshToken).expect(200);
    expect(again.body.refreshToken).toBe(first.body.refreshToken);
    await refresh(first.body.refreshToken).expect(200);
  });

  it('that comes again later ends its session, access tokens and all', async () => {
    const account = await app.register();
    const other = await signInAgain(account);
    const { body } = await refresh(account.refreshToken).expect(200);
    await waitOutTheGrace(account);
    const refused = await refresh(account.refreshToken).expect(401);
    expect(refused.body.code).toBe('invalid-refresh-token');
    await refresh(body.refreshToken).expect(401);
    await app
      .as({ ...account, token: body.accessToken })
      .get('/api/v1/images')
      .expect(401);
    expect(await endOf(account)).toBe('token-reused');
    // A thief of one session has not got the others.
    await refresh(other.refreshToken).expect(200);
  });

  it('ends its session when it is older than the predecessor, however soon it comes', async () => {
    const account = await app.register();
    const { body } = await refresh(account.refreshToken).expect(200);
    await refresh(body.refreshToken).expect(200);
    await refresh(account.refreshToken).expect(401);
    expect(await endOf(account)).toBe('token-reused');
  });

  it('that fifty bring at once leaves one live successor', async () => {
    const account = await app.register();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => refresh(account.refreshToken)),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
    const successors = new Set(answers.map(({ body }) => body.refreshToken));
    expect(successors.size).toBe(1);
    await refresh([...successors][0]).expect(200);
    const live = await app.database.query(
      'select 1 from sessions where user_id = $1 and ended_at is null',
      [account.userId],
    );
    expect(live).toHaveLength(1);
  });

  it('is good for thirty days from its last use, and not longer', async () => {
    const account = await app.register();
    const days = `select extract(epoch from expires_at - now()) / 86400 as days from sessions where id = $1`;
    const [begun] = await app.database.query<{ days: string }>(days, [sessionOf(account)]);
    expect(Number(begun?.days)).toBeCloseTo(30, 2);
    await app.database.query('update sessions set expires_at = now() where id = $1', [
      sessionOf(account),
    ]);
    await refresh(account.refreshToken).expect(401);
    await app.as(account).get('/api/v1/images').expect(401);
    expect(await endOf(account)).toBeNull();
  });

  it.each([
    ['nothing', () => ''],
    ['another spelling of the same bytes', (token: string) => `${token}=`],
    ['spare bits', (token: string) => token.slice(0, -1) + flipped(token.at(-1)!)],
    ['another secret', (token: string) => token.slice(0, 40) + 'AAAA' + token.slice(44)],
    ['another session', (token: string) => 'AAAA' + token.slice(4)],
    ['a longer one', (token: string) => `${token}${token}`],
    ['what is no base64', (token: string) => '.'.repeat(token.length)],
  ])('is not %s, which ends no session', async (_name, forge) => {
    const account = await app.register();
    const { body } = await refresh(forge(account.refreshToken)).expect(401);
    expect(body.code).toBe('invalid-refresh-token');
    await refresh(account.refreshToken).expect(200);
  });

  it.each([[{ refreshToken: 7 }], [{ refreshToken: 'x'.repeat(1_001) }], [{ token: 'x' }], [[]]])(
    'is not %j',
    async (body) => {
      const answer = await app.http.post('/api/v1/auth/refresh').send(body).expect(422);
      expect(answer.body.code).toBe('validation-failed');
    },
  );

  it('is refused for a disabled account', async () => {
    const account = await app.register();
    await app.database.query('update users set disabled_at = now() where id = $1', [
      account.userId,
    ]);
    await refresh(account.refreshToken).expect(401);
  });
});

describe('signing out', () => {
  const signOut = (account: Account) => app.as(account).post('/api/v1/auth/logout');

  it('ends this session at once, and no other', async () => {
    const account = await app.register();
    const other = await signInAgain(account);
    await signOut(account).expect(204);
    await app.as(account).get('/api/v1/images').expect(401);
    await refresh(account.refreshToken).expect(401);
    expect(await endOf(account)).toBe('signed-out');
    await app.as(other).get('/api/v1/images').expect(200);
  });

  it('works with the refresh token when the access token has expired', async () => {
    const account = await app.register();
    const { refreshToken } = account;
    const post = () => app.http.post('/api/v1/auth/logout').send({ refreshToken });
    await post().expect(204);
    await refresh(refreshToken).expect(401);
    await post().expect(204);
    await app.http.post('/api/v1/auth/logout').expect(204);
  });

  it('everywhere ends all sessions of the account, and no one else’s', async () => {
    const [account, stranger] = await Promise.all([app.register(), app.register()]);
    const other = await signInAgain(account);
    await app.as(account).post('/api/v1/auth/logout-all').expect(204);
    for (const each of [account, other]) {
      await app.as(each).get('/api/v1/images').expect(401);
      await refresh(each.refreshToken).expect(401);
    }
    await refresh(stranger.refreshToken).expect(200);
  });

  it('while the token is being refreshed leaves no live session', async () => {
    for (let round = 0; round < 10; round += 1) {
      const account = await app.register();
      const [refreshed] = await Promise.all([
        refresh(account.refreshToken),
        signOut(account).expect(204),
      ]);
      const token = refreshed.body.refreshToken ?? account.refreshToken;
      await refresh(token).expect(401);
    }
  });
});

describe('the list of sessions', () => {
  it('tells where one is signed in, the last used first', async () => {
    const account = await app.register();
    await app.http
      .post('/api/v1/auth/login')
      .set('user-agent', 'Atelier for iOS/1.0')
      .send({ email: account.email, password: account.password })
      .expect(200);
    const { body } = await app.as(account).get('/api/v1/auth/sessions').expect(200);
    expect(body.items).toEqual([
      {
        id: expect.any(String),
        device: 'Atelier for iOS/1.0',
        address: expect.stringMatching(/127\.0\.0\.1$/),
        isCurrent: false,
        createdAt: expect.any(String),
        lastUsedAt: expect.any(String),
        expiresAt: expect.any(String),
      },
      expect.objectContaining({ id: sessionOf(account), isCurrent: true }),
    ]);
  });

  it('loses none of those that were used at the same time', async () => {
    const account = await app.register();
    for (let each = 0; each < 2; each += 1) await signInAgain(account);
    await app.database.query('update sessions set last_used_at = now() where user_id = $1', [
      account.userId,
    ]);
    const ids: string[] = [];
    for (let query = '?limit=1', pages = 0; pages < 3; pages += 1) {
      const { body } = await app.as(account).get(`/api/v1/auth/sessions${query}`).expect(200);
      ids.push(...body.items.map(({ id }: { id: string }) => id));
      query = `?limit=1&cursor=${body.nextCursor}`;
    }
    expect(new Set(ids).size).toBe(3);
  });

  it('comes in pages', async () => {
    const account = await app.register();
    for (let each = 0; each < 4; each += 1) await signInAgain(account);
    const page = async (query: string) =>
      (await app.as(account).get(`/api/v1/auth/sessions?limit=2&${query}`).expect(200)).body;
    const first = await page('total=true');
    const second = await page(`cursor=${first.nextCursor}`);
    const third = await page(`cursor=${second.nextCursor}`);
    expect(first.total).toBe(5);
    expect(third.nextCursor).toBeNull();
    const ids = [first, second, third].flatMap(({ items }) => items.map(({ id }: any) => id));
    expect(new Set(ids).size).toBe(5);
    expect(ids.at(-1)).toBe(sessionOf(account));
    expect((await page('offset=2')).items).toEqual(second.items);
    await app.as(account).get('/api/v1/auth/sessions?limit=101').expect(422);
    await app.as(account).get('/api/v1/auth/sessions?cursor=x').expect(422);
  });

  it('lets one end another device’s session, once', async () => {
    const account = await app.register();
    const other = await signInAgain(account);
    const end = () => app.as(account).delete(`/api/v1/auth/sessions/${sessionOf(other)}`);
    await end().expect(204);
    await app.as(other).get('/api/v1/images').expect(401);
    await end().expect(404);
    const { body } = await app.as(account).get('/api/v1/auth/sessions').expect(200);
    expect(body.items).toHaveLength(1);
  });

  it('holds a hundred at the most, those that were used last, once the worker has looked', async () => {
    const [account, other] = await Promise.all([app.register(), app.register()]);
    await app.database.query(
      `insert into sessions
         (id, user_id, token_hash, created_at, rotated_at, last_used_at, expires_at)
       select gen_random_uuid(), $1, repeat(n::text, 2), at, at, at, now() + interval '1 day'
       from generate_series(1, 101) as n, lateral (select now() - n * interval '1 hour' as at) as used`,
      [account.userId],
    );
    const upkeep = app.app.get(SessionUpkeep, { strict: false });
    const ended = await Promise.all([upkeep.endSurplus(), upkeep.endSurplus()]);
    expect(ended.sort()).toEqual([0, 2]);
    const [left] = await app.database.query(
      `select count(*)::int as live, max(now() - last_used_at) < interval '99.5 hours' as "areNewest"
       from sessions where user_id = $1 and ended_at is null`,
      [account.userId],
    );
    expect(left).toEqual({ live: 100, areNewest: true });
    await app.as(account).get('/api/v1/auth/sessions').expect(200);
    await app.as(other).get('/api/v1/auth/sessions').expect(200);
  });

  it('ends nobody else’s', async () => {
    const [account, stranger] = await Promise.all([app.register(), app.register()]);
    const path = `/api/v1/auth/sessions/${sessionOf(stranger)}`;
    await app.as(account).delete(path).expect(404);
    await app.as(account).delete(`/api/v1/auth/sessions/${newId()}`).expect(404);
    await app.as(account).delete('/api/v1/auth/sessions/mine').expect(422);
    await app.as(stranger).get('/api/v1/images').expect(200);
  });
});

describe('a browser', () => {
  const login = ({ email, password }: Account) =>
    app.http.post('/api/v1/auth/login').send({ email, password, refreshIn: 'cookie' });
  const cookieOf = (header: unknown) => String(header).split(';')[0]!;

  it('keeps its refresh token in a cookie that no script can read', async () => {
    const account = await app.register();
    const signedIn = await login(account).expect(200);
    expect(signedIn.body).not.toHaveProperty('refreshToken');
    const [cookie] = signedIn.headers['set-cookie']!;
    const attributes = String(cookie).split('; ').slice(1).sort();
    expect(cookie).toMatch(new RegExp(`^${REFRESH_COOKIE}=[\\w-]{86};`));
    expect(attributes).toEqual(
      ['HttpOnly', 'Max-Age=2592000', 'Path=/api/v1/auth', 'SameSite=Lax', 'Secure'].sort(),
    );

    const refreshed = await app.http
      .post('/api/v1/auth/refresh')
      .set('cookie', cookieOf(cookie))
      .expect(200);
    expect(refreshed.body).not.toHaveProperty('refreshToken');
    const [next] = refreshed.headers['set-cookie']!;
    expect(cookieOf(next)).not.toBe(cookieOf(cookie));

    const out = await app.http
      .post('/api/v1/auth/logout')
      .set('cookie', cookieOf(next))
      .expect(204);
    expect(String(out.headers['set-cookie'])).toContain(`${REFRESH_COOKIE}=; Max-Age=0`);
    await app.http.post('/api/v1/auth/refresh').set('cookie', cookieOf(next)).expect(401);
  });

  it('without a token is not signed in', async () => {
    const { body } = await app.http.post('/api/v1/auth/refresh').expect(401);
    expect(body.code).toBe('invalid-refresh-token');
  });
});

function flipped(character: string): string {
  return character === 'A' ? 'B' : 'A';
}
