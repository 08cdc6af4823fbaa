import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { anEmail, byStatus, from, manyTimes, signIn } from './guesses.js';
import { describeWith } from './programs.js';
import { testSharedLimits } from './rate-limits-suite.js';
import { RedisServer } from './redis-server.js';
import { TestingApp } from './testing-app.js';

describeWith('redis-server', 'limits that are counted in Redis', () => {
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await RedisServer.start();
  });

  afterAll(() => redis.close());

  testSharedLimits(async () => ({
    variables: { REDIS_URL: redis.url },
    endMinute: () =>
      redis.ask(async (client) => {
        const keys = await client.keys('atelier:limits:*');
        if (keys.length > 0) await client.del(keys);
      }),
  }));
});

describeWith('redis-server', 'limits while Redis counts nothing', () => {
  const VARIABLES = { RATE_LIMITS: 'on', TRUST_PROXY: '127.0.0.1' };
  let redis: RedisServer;
  let app: TestingApp;

  beforeAll(async () => {
    redis = await RedisServer.start();
    app = await TestingApp.start({
      worker: false,
      variables: { ...VARIABLES, REDIS_URL: redis.url },
    });
  });

  afterAll(async () => {
    await app.close();
    await redis.close();
  });

  const wrong = (email: string) =>
    manyTimes(30, (index) =>
      signIn(app.url, { email, password: 'wrong' }, from(`192.0.2.${index}`)),
    );

  it('are counted in PostgreSQL when it is full, though it answers questions', async () => {
    const [victim, other] = await Promise.all([app.register(), app.register()]);
    expect(await app.database.query('select 1 from counters')).toEqual([]);
    await redis.limitMemory('1');
    expect(byStatus(await wrong(victim.email))).toEqual({ 401: 10, 429: 20 });
    expect((await signIn(app.url, victim)).status).toBe(429);
    expect((await signIn(app.url, other)).status).toBe(200);
    expect(await app.database.query('select 1 from counters')).not.toEqual([]);
    await redis.limitMemory('0');
  });

  it('are counted in PostgreSQL while it is away, and in Redis when it is back', async () => {
    const { email, password } = await app.register();
    await redis.kill();
    expect(byStatus(await wrong(anEmail()))).toEqual({ 401: 10, 429: 20 });
    expect((await signIn(app.url, { email, password })).status).toBe(200);
    await redis.begin();
    const counted = await eventually(
      async () => {
        await signIn(app.url, { email, password });
        return redis.ask((client) => client.keys('atelier:limits:*'));
      },
      (keys) => keys.length > 0,
    );
    expect(counted).not.toEqual([]);
  });
});
