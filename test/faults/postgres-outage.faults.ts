import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWith } from '../programs.js';
import { RedisServer } from '../redis-server.js';
import { expectAllWell, SETTLED_AFTER_MS, underLoad } from './outages.js';
import { ProductUnderLoad } from './product-under-load.js';

let product: ProductUnderLoad;

function survivesRestartsOfPostgres(): void {
  it.each([
    ['fast', 0],
    ['immediate', 0],
    ['immediate', 10_000],
  ] as const)(
    'errors of PostgreSQL restarted (%s), and away for %d ms, end with its return',
    async (mode, awayMs) => {
      const backAt = await underLoad(product, () => product.postgres.restart(mode, awayMs));
      expectErrorsToEnd(backAt);
      await expectAllWell(product, backAt);
    },
    120_000,
  );
}

function expectErrorsToEnd(backAt: number): void {
  const errors = product.uploads.filter(({ status }) => status < 200 || status > 299);
  const unforeseen = errors.filter(({ status }) => status !== 503);
  if (unforeseen[0]) throw new Error(`${unforeseen[0].status}: ${product.errorsOfApi()}`);
  // Each tells clients in the usual shape when to come again.
  const told = errors.map(({ status, type, retryAfter }) => [
    status,
    type?.split(';')[0],
    Number(retryAfter) > 0,
  ]);
  expect(told).toEqual(errors.map(() => [503, 'application/problem+json', true]));
  expect(errors.filter(({ at }) => at > backAt + SETTLED_AFTER_MS)).toEqual([]);
}

describeWith('redis-server', 'under load on Redis', () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start();
    product = await ProductUnderLoad.start({ REDIS_URL: server.url });
  }, 60_000);

  afterAll(async () => {
    await product.close();
    await server.close();
  });

  survivesRestartsOfPostgres();
});

describe('under load on PostgreSQL alone', () => {
  beforeAll(async () => {
    product = await ProductUnderLoad.start({});
  }, 60_000);

  afterAll(() => product.close());

  survivesRestartsOfPostgres();
});
