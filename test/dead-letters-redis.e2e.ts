import { describeAdministration } from './dead-letters-suite.js';
import { describeWith } from './programs.js';
import { RedisServer } from './redis-server.js';

describeWith('redis-server', 'with Redis', () => {
  describeAdministration('Redis', async () => {
    const redis = await RedisServer.start();
    return {
      variables: { REDIS_URL: redis.url },
      takeAway: () => redis.stop({ keepData: true }),
      bringBack: () => redis.begin(),
      close: () => redis.close(),
    };
  });
});
