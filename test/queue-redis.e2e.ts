import { describeQueue } from './queue-suite.js';
import { describeWith } from './programs.js';
import { RedisServer } from './redis-server.js';

describeWith('redis-server', 'with Redis', () => {
  describeQueue('Redis', async (database) => {
    // Nothing of the queue's in PostgreSQL may be needed any more.
    await database.query('drop schema bullmq cascade');
    const redis = await RedisServer.start();
    return {
      variables: { REDIS_URL: redis.url },
      empty: () => redis.flush(),
      noticesLossMs: 5_000,
      loseInPart: async (part, queue) => {
        const lost = part.startsWith('the list')
          ? ['wait']
          : (await queue.getWaiting()).map(({ id }) => id ?? '');
        await redis.ask((client) => client.del(lost.map((name) => queue.toKey(name))));
      },
      takeAway: () => redis.stop({ keepData: true }),
      bringBack: () => redis.begin(),
      refuse: () => redis.limitMemory('1b'),
      relent: () => redis.limitMemory('0'),
      close: () => redis.close(),
    };
  });
});
