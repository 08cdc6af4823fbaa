import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MikroORM } from '@mikro-orm/postgresql';
import { readEnv } from '../src/core/env.js';
import { ownEntityManager, withOwnEntityManager } from '../src/core/database/own-entity-manager.js';
import { ormOptions } from '../src/mikro-orm.config.js';

let orm: MikroORM;

beforeAll(async () => {
  const secret = 'a8Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg-B';
  const variables = { JWT_SECRET: secret, APP_SECRET: secret };
  // Nobody connects.
  const env = readEnv({ ...variables, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' });
  orm = await MikroORM.init(ormOptions(env));
});

afterAll(() => orm.close());

describe('an EntityManager of its own', () => {
  it('is the same for all that the work awaits, and another for other work', async () => {
    const twice = () =>
      withOwnEntityManager(orm.em, async () => {
        const first = orm.em.getContext();
        await Promise.resolve();
        return [first, orm.em.getContext(), ownEntityManager()];
      });
    const [one, other] = await Promise.all([twice(), twice()]);
    expect(new Set(one).size).toBe(1);
    expect(new Set(other).size).toBe(1);
    expect(one[0]).not.toBe(other[0]);
    for (const each of [one[0], other[0]]) expect(each).not.toBe(orm.em);
  });

  it('is none outside', () => {
    expect(ownEntityManager()).toBeUndefined();
    expect(() => orm.em.getContext()).toThrow('global');
  });
});
