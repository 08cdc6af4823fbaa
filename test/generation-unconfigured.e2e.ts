import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Exposition } from './exposition.js';
import { balanceOf, generate, withCoins } from './generation-requests.js';
import { storedRows } from './stored-rows.js';
import { type Account, TestingApp } from './testing-app.js';

const PRODUCTION = { NODE_ENV: 'production', RATE_LIMITS: 'on' };

describe('in production without a model', () => {
  let app: TestingApp;
  let ana: Account;

  beforeAll(async () => {
    app = await TestingApp.start({ worker: false, variables: PRODUCTION });
    ana = await withCoins(app, 1_000);
  });

  afterAll(() => app.close());

  it('a request for pictures is refused, and nothing is held or written', async () => {
    const before = await storedRows(app.database);
    const poor = await app.register();
    const answers = await Promise.all([
      generate(app, ana),
      generate(app, ana, { count: 4 }, { wait: 30 }),
      generate(app, ana, {}, { key: 'the-same' }),
      generate(app, poor),
    ]);
    for (const { status, body } of answers) {
      expect([status, body.code]).toEqual([503, 'generation-not-configured']);
    }
    expect(await balanceOf(app, ana)).toEqual({ posted: 1_000, held: 0, available: 1_000 });
    const after = await storedRows(app.database);
    for (const table of ['generations', 'images', 'coin_transfers', 'idempotency_keys']) {
      const name = `public.${table}`;
      expect(before.has(name)).toBe(true);
      expect([name, after.get(name)]).toEqual([name, before.get(name)]);
    }
  });

  it('a refusal is meant, and no fault that anybody is to be woken by', async () => {
    const count = async () => {
      const metrics = new Exposition((await app.http.get('/metrics').expect(200)).text);
      return metrics.value('atelier_http_refusals_total', { code: 'generation-not-configured' });
    };
    await generate(app, ana).expect(503);
    const before = await count();
    await generate(app, ana).expect(503);
    expect(await count()).toBe((before ?? 0) + 1);
  });

  it('a key that is tried again once there is a model is not spent', async () => {
    await generate(app, ana, {}, { key: 'kept' }).expect(503);
    const later = await TestingApp.start({
      worker: false,
      database: app.database,
      variables: { ...PRODUCTION, ALLOW_SANDBOX: 'true' },
    });
    try {
      await generate(later, ana, {}, { key: 'kept' }).expect(202);
    } finally {
      await later.app.close();
      await rm(later.variables['DATA_DIR'] ?? '', { recursive: true });
    }
  });

  it('is told among the capabilities', async () => {
    const { body } = await app.http.get('/health/capabilities').expect(200);
    expect(body.capabilities).toContainEqual({
      part: 'picture-model',
      driver: 'not-configured',
      embedded: false,
    });
  });
});
