import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { newId } from '../src/core/ids.js';
import { registerAdmin } from './administrators.js';
import { type Account, TestingApp } from './testing-app.js';

const AUDIT = '/api/v1/admin/audit';

let app: TestingApp;
let admin: Account;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  admin = await registerAdmin(app);
});

afterAll(() => app.close());

async function list(query: Record<string, string | number> = {}) {
  const { body } = await app.as(admin).get(AUDIT).query(query).expect(200);
  return body;
}

/** Writes an entry, as some part of the product does. @returns its id */
async function write(action: string, minutesAgo: number, targetId = newId()): Promise<string> {
  const id = newId();
  await app.database.query(
    `insert into audit_entries (id, actor_kind, action, target_type, target_id, created_at)
     values ($1, 'system', $2, 'thing', $3, now() - make_interval(mins => $4))`,
    [id, action, targetId, minutesAgo],
  );
  return id;
}

describe('the audit', () => {
  it('is listed with who acted, on what, from where, and what changed', async () => {
    const user = await app.register();
    await app.as(user).post('/api/v1/auth/logout-all').expect(204);
    await app
      .as(admin)
      .post(`/api/v1/admin/users/${user.userId}/roles`)
      .set('x-request-id', 'a-request')
      .send({ role: 'ADMIN' })
      .expect(200);
    const own = await list({ actorId: user.userId });
    expect(own.items.map(({ action }: { action: string }) => action)).toEqual(
      expect.arrayContaining(['session.begun', 'session.ended']),
    );
    const common = {
      id: expect.any(String),
      target: { type: 'user', id: user.userId },
      address: '127.0.0.1',
      createdAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
    };
    expect(own.items[0]).toEqual({
      ...common,
      actor: { kind: 'user', id: user.userId },
      action: 'session.ended',
      requestId: expect.any(String),
      before: null,
      after: { because: 'signed-out-everywhere', sessions: 1 },
    });
    const { items } = await list({ actorId: admin.userId, targetId: user.userId });
    expect(items).toEqual([
      {
        ...common,
        actor: { kind: 'user', id: admin.userId },
        action: 'user.role-added',
        requestId: 'a-request',
        before: { roles: ['USER'] },
        after: { roles: ['USER', 'ADMIN'] },
      },
    ]);
  });

  it('is answered in pages, the newest first, and shows what has no details any more', async () => {
    const ids = [];
    for (let each = 0; each < 5; each += 1) ids.push(await write('page.turned', each + 1));
    const query = { action: 'page.turned', limit: 2 };
    const first = await list({ ...query, total: 'true' });
    expect(first.total).toBe(5);
    expect(first.items[0]).toMatchObject({
      ...{ actor: { kind: 'system', id: null }, address: null, before: null, after: null },
    });
    const second = await list({ ...query, cursor: first.nextCursor });
    const third = await list({ ...query, cursor: second.nextCursor });
    const seen = [first, second, third].flatMap(({ items }) => items);
    expect(seen.map(({ id }: { id: string }) => id)).toEqual(ids);
    expect(third.nextCursor).toBeNull();
    expect(Object.keys(seen[0])).not.toContain('sortValue');
  });

  it('is filtered by actor, action, target and time', async () => {
    const target = newId();
    const [old, recent] = [
      await write('clock.set', 60, target),
      await write('clock.stopped', 10, target),
    ];
    const time = (minutesAgo: number) => new Date(Date.now() - minutesAgo * 60_000).toISOString();
    const about = { targetId: target };
    const cases: [Record<string, string>, string[]][] = [
      [about, [recent, old]],
      [{ ...about, action: 'clock.set' }, [old]],
      [{ ...about, action: 'clock.' }, [recent, old]],
      [{ ...about, action: 'clock' }, []],
      [{ ...about, from: time(30) }, [recent]],
      [{ ...about, to: time(30) }, [old]],
      [{ ...about, targetType: 'thing', actorKind: 'system' }, [recent, old]],
      [{ ...about, targetType: 'user' }, []],
      [{ ...about, actorKind: 'user' }, []],
      [{ ...about, actorId: admin.userId }, []],
    ];
    for (const [query, expected] of cases) {
      const { items } = await list(query);
      expect([query, items.map(({ id }: { id: string }) => id)]).toEqual([query, expected]);
    }
  });

  it.each(['actorId=x', 'actorKind=robot', 'action=%00', 'from=now', 'targetId=1', 'userId=x'])(
    'refuses %s',
    async (query) => {
      await app.as(admin).get(`${AUDIT}?${query}`).expect(422);
    },
  );

  it('can be added to by the product, and neither changed nor deleted', async () => {
    const id = await write('stone.carved', 0);
    const client = new pg.Client({ connectionString: app.database.appUrl });
    await client.connect();
    try {
      for (const statement of [
        `update audit_entries set action = 'x'`,
        'delete from audit_entries',
        'truncate audit_entries cascade',
        `insert into audit_entries select * from audit_entries
           on conflict (id) do update set action = 'x'`,
        'alter table audit_entries disable trigger all',
        'drop table audit_entries cascade',
      ]) {
        await expect(client.query(statement)).rejects.toThrow(/permission denied|must be owner/);
      }
      await client.query(
        `insert into audit_entries (id, actor_kind, action, created_at)
         values (gen_random_uuid(), 'system', 'stone.carved', now())`,
      );
    } finally {
      await client.end();
    }
    const { items } = await list({ action: 'stone.carved' });
    expect(items.map((each: { id: string }) => each.id)).toContain(id);
  });
});
