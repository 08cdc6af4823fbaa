import { afterAll, beforeAll } from '@jest/globals';
import { describeWith } from '../programs.js';
import { RedisFailover } from '../redis-failover.js';
import { goUnnoticed } from './outages.js';
import { ProductUnderLoad } from './product-under-load.js';

describeWith('redis-server', 'under load on Redis behind a Sentinel', () => {
  let redis: RedisFailover;
  let product: ProductUnderLoad;

  beforeAll(async () => {
    redis = await RedisFailover.start();
    product = await ProductUnderLoad.start(redis.variables);
  }, 60_000);

  afterAll(async () => {
    await product.close();
    await redis.close();
  });

  goUnnoticed(
    () => product,
    [
      ['a primary that is killed', () => redis.loseThePrimary()],
      ['a primary that hangs and comes back as a replica', () => redis.hangThePrimary()],
      ['a failover that somebody asked for', () => redis.swap()],
    ],
  );
});
