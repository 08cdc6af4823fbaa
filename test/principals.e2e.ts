import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { EntityManager, type PostgreSqlConnection } from '@mikro-orm/postgresql';
import jwt from 'jsonwebtoken';
import type { Pool } from 'pg';
import { Principals } from '../src/auth/access/principals.js';
import type { VerifiedClaims } from '../src/auth/tokens/access-tokens.js';
import { newId } from '../src/core/ids.js';
import { type Account, TestingApp } from './testing-app.js';

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

function claimsOf({ token }: Account): VerifiedClaims {
  return jwt.decode(token) as VerifiedClaims;
}

describe('principals', () => {
  it('that are asked for together are found by one query, each its own', async () => {
    const [ada, bob, gone] = await Promise.all([app.register(), app.register(), app.register()]);
    const studioId = newId();
    await app.database.query(`update users set roles = '{USER,ADMIN}' where id = $1`, [bob.userId]);
    await app.database.query('update users set disabled_at = now() where id = $1', [gone.userId]);
    const connect = jest.spyOn(pool, 'connect');
    const unknown = { ...claimsOf(ada), sid: newId() };
    const foreign = { ...claimsOf(ada), sid: claimsOf(bob).sid };
    const asked = [...[ada, gone, bob].map(claimsOf), unknown, foreign, claimsOf(ada)];
    const found = await Promise.all(asked.map((each) => principals.find({ ...each, studioId })));
    expect(connect).toHaveBeenCalledTimes(1);
    connect.mockRestore();
    const principalOf = (account: Account, roles: string[]) => {
      const { sub: userId, sid: sessionId } = claimsOf(account);
      return { userId, sessionId, roles, studioId };
    };
    expect(found).toEqual([
      principalOf(ada, ['USER']),
      false,
      principalOf(bob, ['USER', 'ADMIN']),
      false,
      false,
      principalOf(ada, ['USER']),
    ]);
  });

  it('are asked for anew each time, also while a query is under way', async () => {
    const account = await app.register();
    const { userId } = account;
    const claims = claimsOf(account);
    const first = principals.find(claims);
    // By then its query has been begun.
    await new Promise(setImmediate);
    await app.database.query('update users set disabled_at = now() where id = $1', [userId]);
    expect(await principals.find(claims)).toBe(false);
    await first;
  });

  it('in great numbers take several queries, and none is lost', async () => {
    const account = await app.register();
    const { userId } = account;
    const claims = Array.from({ length: 1_201 }, () => claimsOf(account));
    const found = await Promise.all(claims.map((each) => principals.find(each)));
    expect(found.filter((principal) => principal && principal.userId === userId)).toHaveLength(
      claims.length,
    );
  });
});
