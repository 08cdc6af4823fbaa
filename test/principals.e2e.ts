import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { EntityManager, type PostgreSqlConnection } from '@mikro-orm/postgresql';
import type { Pool } from 'pg';
import { Principals, type VerifiedClaims } from '../src/auth/principals.js';
import { newId } from '../src/core/ids.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;
let principals: Principals;
let pool: Pool;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  principals = app.app.get(Principals);
  const connection: PostgreSqlConnection = app.app.get(EntityManager).getConnection();
  pool = await connection.getNativeClient();
});

afterAll(() => app.close());

function claimsOf(sub: string, studioId?: string): VerifiedClaims {
  return { sub, roles: [], studioId, exp: Math.ceil(Date.now() / 1_000) + 60 };
}

describe('principals', () => {
  it('that are asked for together are found by one query, each its own', async () => {
    const [ada, bob, gone] = await Promise.all([app.register(), app.register(), app.register()]);
    const [studio, unknown] = [newId(), newId()];
    await app.database.query(`update users set roles = '{USER,ADMIN}' where id = $1`, [bob.userId]);
    await app.database.query('update users set disabled_at = now() where id = $1', [gone.userId]);
    const connect = jest.spyOn(pool, 'connect');
    const asked = [ada.userId, gone.userId, bob.userId, unknown, ada.userId];
    const found = await Promise.all(asked.map((id) => principals.find(claimsOf(id, studio))));
    expect(connect).toHaveBeenCalledTimes(1);
    connect.mockRestore();
    const principalOf = (userId: string, roles: string[]) => ({ userId, roles, studioId: studio });
    expect(found).toEqual([
      principalOf(ada.userId, ['USER']),
      false,
      principalOf(bob.userId, ['USER', 'ADMIN']),
      false,
      principalOf(ada.userId, ['USER']),
    ]);
  });

  it('are asked for anew each time, also while a query is under way', async () => {
    const { userId } = await app.register();
    const claims = claimsOf(userId);
    const first = principals.find(claims);
    // By then its query has been begun.
    await new Promise(setImmediate);
    await app.database.query('update users set disabled_at = now() where id = $1', [userId]);
    expect(await principals.find(claims)).toBe(false);
    await first;
  });

  it('in great numbers take several queries, and none is lost', async () => {
    const { userId } = await app.register();
    const claims = Array.from({ length: 1_201 }, () => claimsOf(userId));
    const found = await Promise.all(claims.map((each) => principals.find(each)));
    expect(found.filter((principal) => principal && principal.userId === userId)).toHaveLength(
      claims.length,
    );
  });
});
