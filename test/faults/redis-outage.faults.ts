import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from '@jest/globals';
import { describeWith } from '../programs.js';
import { RedisServer } from '../redis-server.js';
import { goUnnoticed } from './outages.js';
import { ProductUnderLoad } from './product-under-load.js';

describeWith('redis-server', 'under load on Redis', () => {
  let server: RedisServer;
  let product: ProductUnderLoad;

  beforeAll(async () => {
    server = await RedisServer.start();
    product = await ProductUnderLoad.start({ REDIS_URL: server.url });
  }, 60_000);

  afterAll(async () => {
    await product.close();
    await server.close();
  });

  const faults: [string, () => Promise<void>][] = [
    [
      'a restart of Redis that keeps its data',
      async () => {
        await server.stop({ keepData: true });
        await server.begin();
      },
    ],
    [
      'a kill -9 of Redis that loses everything',
      async () => {
        await server.kill();
        await server.loseData();
        await server.begin();
      },
    ],
    ['FLUSHALL, three times', () => flushThrice(server)],
    [
      'a Redis that is away for 15 seconds',
      async () => {
        await server.stop();
        await sleep(15_000);
        await server.begin();
      },
    ],
    [
      'a Redis that hangs for 8 seconds',
      async () => {
        server.freeze();
        await sleep(8_000);
        server.thaw();
      },
    ],
  ];

  goUnnoticed(() => product, faults);
});

async function flushThrice(server: RedisServer): Promise<void> {
  for (let n = 0; n < 3; n += 1) {
    await server.flush();
    await sleep(300);
  }
}
