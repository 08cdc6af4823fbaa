import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { newId } from '../src/core/ids.js';
import { registerAdmin } from './administrators.js';
import { aStudio, hire } from './studio-staff.js';
import { type Account, TestingApp } from './testing-app.js';

const STUDIO = '/api/v1/studio';
const MEMBERS = `${STUDIO}/members`;

let app: TestingApp;
let owner: Account;
let staff: Account;
let studioId: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

beforeEach(async () => {
  ({ owner, studioId } = await aStudio(app));
  staff = await app.register();
  await hire(app, studioId, staff);
});

const memberUrl = ({ userId }: Account) => `${MEMBERS}/${userId}`;
const setRole = (as: Account, who: Account, role: unknown) =>
  app.as(as).patch(memberUrl(who)).send({ role });
const remove = (as: Account, who: Account) => app.as(as).delete(memberUrl(who));

async function rolesOf(id: string): Promise<Record<string, string>> {
  const rows = await app.database.query<{ user_id: string; role: string }>(
    'select user_id, role from studio_members where studio_id = $1',
    [id],
  );
  return Object.fromEntries(rows.map(({ user_id, role }) => [user_id, role]));
}

async function auditOf(targetId: string, action: string) {
  return app.database.query(
    `select actor_id, before, after from audit_entries join audit_details on entry_id = id
     where target_id = $1 and action = $2 order by created_at`,
    [targetId, action],
  );
}

async function signInAgain({ email, password }: Account): Promise<Account> {
  const { body } = await app.http.post('/api/v1/auth/login').send({ email, password }).expect(200);
  return { ...owner, email, password, token: body.accessToken, userId: body.user.id };
}

describe('the studio that signing in speaks for', () => {
  it('is the one joined first, also when the session goes on', async () => {
    const { studioId: elsewhere } = await aStudio(app);
    await hire(app, elsewhere, owner);
    await app.database.query(
      `update studio_members set created_at = created_at - interval '1 day' where studio_id = $1`,
      [elsewhere],
    );
    const { email, password, refreshToken } = owner;
    const answers = await Promise.all([
      app.http.post('/api/v1/auth/login').send({ email, password }),
      app.http.post('/api/v1/auth/refresh').send({ refreshToken }),
    ]);
    for (const { body } of answers) {
      expect(body.studio).toMatchObject({ id: elsewhere, role: 'STAFF' });
      expect(jwt.decode(body.accessToken)).toMatchObject({ studioId: elsewhere });
    }
  });
});

describe('the studio that a request is about', () => {
  it('is the one that the token speaks for', async () => {
    const { body } = await app.as(owner).get(STUDIO).expect(200);
    expect(body).toEqual({
      id: studioId,
      name: 'Someone',
      role: 'OWNER',
      timezone: 'UTC',
      locale: 'en',
    });
  });

  it('is the only one of who has joined it since they signed in', async () => {
    expect(jwt.decode(staff.token)).not.toHaveProperty('studioId');
    const { body } = await app.as(staff).get(STUDIO).expect(200);
    expect(body).toMatchObject({ id: studioId, role: 'STAFF' });
  });

  it('is the one that it names, whatever the token says', async () => {
    const other = await aStudio(app);
    await hire(app, other.studioId, owner);
    for (const [id, role] of [
      [studioId, 'OWNER'],
      [other.studioId, 'STAFF'],
      [other.studioId.toUpperCase(), 'STAFF'],
    ] as const) {
      const { body } = await app.as(owner).get(STUDIO).set('x-studio-id', id).expect(200);
      expect(body).toMatchObject({ id: id.toLowerCase(), role });
    }
    const { body } = await app.as(owner).get(STUDIO).expect(200);
    expect(body.id).toBe(studioId);
  });

  it('has to be named by who works at several and has a token for none', async () => {
    const other = await aStudio(app);
    await hire(app, other.studioId, staff);
    const { body } = await app.as(staff).get(STUDIO).expect(403);
    expect(body.code).toBe('no-studio');
    const named = app.as(staff).get(STUDIO).set('x-studio-id', other.studioId);
    expect((await named.expect(200)).body.id).toBe(other.studioId);
  });

  it.each(['x', '', '0', 'null', '019'.repeat(20)])(
    'is named by its id, and not by “%s”',
    async (id) => {
      const { body } = await app.as(owner).get(STUDIO).set('x-studio-id', id).expect(422);
      expect(body.errors).toEqual([{ path: 'headers.x-studio-id', message: expect.any(String) }]);
    },
  );

  it('is named once', async () => {
    const headers = new Headers({ authorization: `Bearer ${owner.token}` });
    headers.append('x-studio-id', studioId);
    headers.append('x-studio-id', studioId);
    expect((await fetch(app.url + STUDIO, { headers })).status).toBe(422);
  });

  it('is not there for who does not work at it, administrators among them', async () => {
    const other = await aStudio(app);
    const admin = await registerAdmin(app);
    for (const each of [other.owner, admin, await app.register()]) {
      for (const id of [studioId, newId()]) {
        const request = app.as(each).get(STUDIO).set('x-studio-id', id);
        expect((await request.expect(404)).body.code).toBe('not-found');
      }
    }
  });

  it('is none for who works nowhere', async () => {
    const nobody = await app.register();
    for (const path of [STUDIO, MEMBERS]) {
      const { body } = await app.as(nobody).get(path).expect(403);
      expect(body.code).toBe('no-studio');
    }
    await app.http.get(STUDIO).set('x-studio-id', studioId).expect(401);
  });

  it('is no other one once somebody has left the one of their token', async () => {
    const other = await aStudio(app);
    await hire(app, other.studioId, owner, 'OWNER');
    await hire(app, studioId, other.owner, 'OWNER');
    await remove(other.owner, owner).set('x-studio-id', studioId).expect(204);

    // The request was meant for the studio that its token names.
    const change = await app.as(owner).patch(STUDIO).send({ name: 'Wrong' }).expect(403);
    expect(change.body.code).toBe('no-studio');
    await app.as(owner).get(STUDIO).set('x-studio-id', studioId).expect(404);
    const named = await app.as(owner).get(STUDIO).set('x-studio-id', other.studioId).expect(200);
    expect(named.body.name).toBe('Someone');
    const again = await signInAgain(owner);
    expect((await app.as(again).get(STUDIO).expect(200)).body.id).toBe(other.studioId);
  });

  it('is looked up for each of many requests that come at once', async () => {
    const others = await Promise.all([aStudio(app), aStudio(app), aStudio(app)]);
    const all = [{ owner, studioId }, ...others];
    const asked = Array.from({ length: 60 }, (_, index) => all[index % all.length]!);
    const answers = await Promise.all(asked.map((each) => app.as(each.owner).get(STUDIO)));
    expect(answers.map(({ body }) => body.id)).toEqual(asked.map((each) => each.studioId));
  });
});

describe('a membership', () => {
  it('that is taken away is gone at once, with the token that there is', async () => {
    await app.as(staff).get(MEMBERS).expect(200);
    await remove(owner, staff).expect(204);
    expect((await app.as(staff).get(MEMBERS).expect(403)).body.code).toBe('no-studio');
    const named = app.as(staff).get(MEMBERS).set('x-studio-id', studioId);
    expect((await named.expect(404)).body.code).toBe('not-found');
    await app.as(staff).get('/api/v1/images').expect(200);
  });

  it('makes an owner by the row alone, from the next request on', async () => {
    await app.as(staff).patch(STUDIO).send({ name: 'x' }).expect(403);
    await setRole(owner, staff, 'OWNER').expect(200);
    await app.as(staff).patch(STUDIO).send({ name: 'Ours' }).expect(200);
    await setRole(owner, staff, 'STAFF').expect(200);
    const { body } = await app.as(staff).patch(STUDIO).send({ name: 'x' }).expect(403);
    expect(body.code).toBe('forbidden');
  });

  it('is not what a token or a body says', async () => {
    const claims = jwt.decode(staff.token) as jwt.JwtPayload;
    const secret = app.variables['JWT_SECRET'] ?? '';
    const forged = jwt.sign({ ...claims, studioId, studioRole: 'OWNER' }, secret);
    await app
      .as({ ...staff, token: forged })
      .get(STUDIO)
      .expect(401);
    for (const field of ['studioId', 'role', 'ownerId', 'id', 'stripeCustomerId']) {
      const body = { name: 'x', [field]: studioId };
      const answer = await app.as(owner).patch(STUDIO).send(body).expect(422);
      expect(answer.body.errors).toEqual([{ path: `body.${field}`, message: 'is not known here' }]);
    }
    const body = { role: 'OWNER', studioId };
    await app.as(owner).patch(memberUrl(staff)).send(body).expect(422);
  });
});

describe('a studio', () => {
  it('is changed by its owner, in the usual spelling', async () => {
    const changes = { name: ' Atelier Norte ', timezone: 'europe/madrid', locale: 'ES-es' };
    const { body } = await app.as(owner).patch(STUDIO).send(changes).expect(200);
    const changed = { name: 'Atelier Norte', timezone: 'Europe/Madrid', locale: 'es-ES' };
    expect(body).toEqual({ id: studioId, role: 'OWNER', ...changed });
    expect((await app.as(staff).get(STUDIO).expect(200)).body).toMatchObject(changed);
    expect(await auditOf(studioId, 'studio.changed')).toEqual([
      {
        actor_id: owner.userId,
        before: { name: 'Someone', timezone: 'UTC', locale: 'en' },
        after: changed,
      },
    ]);
  });

  it('stays as it is where nothing is said, and nothing is remembered of no change', async () => {
    for (const changes of [{}, { name: 'Someone' }, { locale: 'en', timezone: 'UTC' }]) {
      const { body } = await app.as(owner).patch(STUDIO).send(changes).expect(200);
      expect(body).toMatchObject({ name: 'Someone', timezone: 'UTC', locale: 'en' });
    }
    expect(await auditOf(studioId, 'studio.changed')).toEqual([]);
  });

  it.each(['UTC', 'Europe/Kyiv', 'Asia/Kolkata', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5'])(
    'can be at home in %s, which PostgreSQL knows, too',
    async (timezone) => {
      const { body } = await app.as(owner).patch(STUDIO).send({ timezone }).expect(200);
      expect(body.timezone).toBe(timezone);
      await app.database.query('select now() at time zone timezone from studios where id = $1', [
        studioId,
      ]);
    },
  );

  it.each([
    { timezone: 'Mars/Olympus' },
    { timezone: 'Europe/Nowhere' },
    { timezone: '+01:00' },
    { timezone: 'EST' },
    { timezone: 'SystemV/PST8' },
    { timezone: 'Europe/Madrid ' },
    { timezone: '' },
    { timezone: null },
    { timezone: 'Europe/'.padEnd(70, 'x') },
    { locale: 'english!' },
    { locale: '' },
    { name: ' ' },
    { name: 'x'.repeat(201) },
    { name: 7 },
  ])('is not changed to %j', async (changes) => {
    const { body } = await app.as(owner).patch(STUDIO).send(changes).expect(422);
    expect(body.errors[0].path).toBe(`body.${Object.keys(changes)[0]}`);
  });

  it('is changed by nobody else', async () => {
    expect((await app.as(staff).patch(STUDIO).send({ name: 'x' }).expect(403)).body.code).toBe(
      'forbidden',
    );
    const stranger = await aStudio(app);
    const named = app.as(stranger.owner).patch(STUDIO).set('x-studio-id', studioId);
    await named.send({ name: 'x' }).expect(404);
    expect((await app.as(owner).get(STUDIO).expect(200)).body.name).toBe('Someone');
  });
});

describe('the members', () => {
  it('are listed to each of them, the last to join first, and to nobody else', async () => {
    for (const each of [owner, staff]) {
      const { body } = await app.as(each).get(MEMBERS).query({ total: true }).expect(200);
      expect(body).toEqual({
        items: [
          {
            userId: staff.userId,
            email: staff.email,
            name: 'Someone',
            role: 'STAFF',
            joinedAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
          },
          expect.objectContaining({ userId: owner.userId, name: null, role: 'OWNER' }),
        ],
        nextCursor: null,
        total: 2,
      });
    }
    const { owner: stranger } = await aStudio(app);
    const { body } = await app.as(stranger).get(MEMBERS).expect(200);
    expect(body.items).toHaveLength(1);
    await app.as(stranger).get(MEMBERS).set('x-studio-id', studioId).expect(404);
  });

  it('come in pages, each of them once', async () => {
    const more = await Promise.all(Array.from({ length: 4 }, () => app.register()));
    for (const each of more) await hire(app, studioId, each);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: Record<string, string> = { limit: '2', ...(cursor !== null && { cursor }) };
      const { body } = await app.as(owner).get(MEMBERS).query(query).expect(200);
      seen.push(...body.items.map(({ userId }: { userId: string }) => userId));
      cursor = body.nextCursor;
    } while (cursor !== null);
    const expected = [owner, staff, ...more].map(({ userId }) => userId);
    expect(seen.toSorted()).toEqual(expected.toSorted());
    await app.as(owner).get(MEMBERS).query({ limit: 101 }).expect(422);
    await app.as(owner).get(MEMBERS).query({ studioId }).expect(422);
  });

  it('are made owners or staff by an owner, which is remembered', async () => {
    const { body } = await setRole(owner, staff, 'OWNER').expect(200);
    expect(body).toMatchObject({ userId: staff.userId, email: staff.email, role: 'OWNER' });
    await setRole(owner, staff, 'OWNER').expect(200);
    expect(await auditOf(staff.userId, 'studio-member.role-changed')).toEqual([
      {
        actor_id: owner.userId,
        before: { studioId, role: 'STAFF' },
        after: { studioId, role: 'OWNER' },
      },
    ]);
  });

  it.each(['ADMIN', 'owner', null, ['OWNER'], undefined])('are never made “%j”', async (role) => {
    await setRole(owner, staff, role).expect(422);
  });

  it('are no matter of the staff, nor of other studios', async () => {
    await setRole(staff, staff, 'OWNER').expect(403);
    await setRole(staff, owner, 'STAFF').expect(403);
    const { body } = await remove(staff, owner).expect(403);
    expect(body.code).toBe('forbidden');
    const stranger = await aStudio(app);
    for (const request of [
      setRole(stranger.owner, staff, 'OWNER'),
      remove(stranger.owner, staff),
      setRole(owner, stranger.owner, 'STAFF'),
      remove(owner, stranger.owner),
      app.as(owner).delete(`${MEMBERS}/${newId()}`),
    ]) {
      expect((await request.expect(404)).body.code).toBe('not-found');
    }
    await app.as(owner).delete(`${MEMBERS}/me`).expect(422);
    expect(await rolesOf(studioId)).toEqual({ [owner.userId]: 'OWNER', [staff.userId]: 'STAFF' });
  });

  it('are let go by an owner, or leave, which is remembered', async () => {
    const other = await app.register();
    await hire(app, studioId, other);
    await remove(staff, staff).expect(204);
    await remove(owner, other).expect(204);
    await remove(owner, other).expect(404);
    expect(await rolesOf(studioId)).toEqual({ [owner.userId]: 'OWNER' });
    for (const [actor, who] of [
      [staff, staff],
      [owner, other],
    ] as const) {
      expect(await auditOf(who.userId, 'studio-member.removed')).toEqual([
        { actor_id: actor.userId, before: { studioId, role: 'STAFF' }, after: null },
      ]);
    }
  });
});

describe('the last owner of a studio', () => {
  it('stays, and stays an owner', async () => {
    for (const request of [setRole(owner, owner, 'STAFF'), remove(owner, owner)]) {
      expect((await request.expect(409)).body.code).toBe('last-owner');
    }
    await setRole(owner, owner, 'OWNER').expect(200);
    await setRole(owner, staff, 'OWNER').expect(200);
    await setRole(owner, owner, 'STAFF').expect(200);
    await remove(staff, staff).expect(409);
    await remove(owner, owner).expect(204);
    expect(await rolesOf(studioId)).toEqual({ [staff.userId]: 'OWNER' });
  });

  it('is left by two who make each other staff at once', async () => {
    await setRole(owner, staff, 'OWNER').expect(200);
    const answers = await Promise.all([
      setRole(owner, staff, 'STAFF'),
      setRole(staff, owner, 'STAFF'),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 403]);
    expect(Object.values(await rolesOf(studioId)).sort()).toEqual(['OWNER', 'STAFF']);
  });

  it('is left by two who let each other go at once', async () => {
    await setRole(owner, staff, 'OWNER').expect(200);
    const answers = await Promise.all([remove(owner, staff), remove(staff, owner)]);
    // Whoever comes second is not in it any more: before the guard looks, or behind the lock.
    const statuses = answers.map(({ status }) => status).sort();
    expect([
      [204, 403],
      [204, 404],
    ]).toContainEqual(statuses);
    expect(Object.values(await rolesOf(studioId))).toEqual(['OWNER']);
  });

  it('is one of ten who all leave at once', async () => {
    const owners = [
      owner,
      staff,
      ...(await Promise.all(Array.from({ length: 8 }, () => app.register()))),
    ];
    await setRole(owner, staff, 'OWNER').expect(200);
    for (const each of owners.slice(2)) await hire(app, studioId, each, 'OWNER');
    const answers = await Promise.all(owners.map((each) => remove(each, each)));
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array.from({ length: 9 }, () => 204), 409]);
    expect(Object.values(await rolesOf(studioId))).toEqual(['OWNER']);
  });

  it('is found among all who are made staff at once, by each other', async () => {
    const third = await app.register();
    await hire(app, studioId, third, 'OWNER');
    await setRole(owner, staff, 'OWNER').expect(200);
    const owners = [owner, staff, third];
    const answers = await Promise.all(
      owners.flatMap((by) => owners.map((who) => setRole(by, who, 'STAFF'))),
    );
    for (const { status } of answers) expect([200, 403, 409]).toContain(status);
    expect(Object.values(await rolesOf(studioId)).filter((role) => role === 'OWNER')).toHaveLength(
      1,
    );
  });
});
