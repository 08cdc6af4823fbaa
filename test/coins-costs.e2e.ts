import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Post } from '@nestjs/common';
import { Roles } from '../src/auth/access/roles.guard.js';
import { CoinsModule } from '../src/coins/coins.module.js';
import { Costs } from '../src/coins/costs/costs.guard.js';
import { Prices } from '../src/coins/costs/prices.js';
import { newId } from '../src/core/ids.js';
import { coinsOf } from './ledger.js';
import { type Account, TestingApp } from './testing-app.js';

/** Sells things, as features above the ledger will. */
@Controller('api/v1/things')
class ThingsController {
  @Post()
  @Costs('thing')
  make() {
    return { made: true };
  }

  @Post('for-administrators')
  @Costs('thing')
  @Roles('ADMIN')
  makeForAdministrators() {
    return { made: true };
  }
}

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  const controllers: unknown[] = Reflect.getMetadata('controllers', CoinsModule);
  Reflect.defineMetadata('controllers', [...controllers, ThingsController], CoinsModule);
  app = await TestingApp.start({ worker: false });
  app.app.get(Prices, { strict: false }).register('thing', (body) => {
    const { count } = (body ?? {}) as { count?: unknown };
    return typeof count === 'number' ? count * 10 : undefined;
  });
  account = await app.register();
});

afterAll(() => app.close());

const make = (body: object, path = '') => app.as(account).post(`/api/v1/things${path}`).send(body);

describe('a route that costs coins', () => {
  it('refuses who does not have them, and lets in who does', async () => {
    const { body } = await make({ count: 2 }).expect(402);
    expect(body).toMatchObject({
      ...{ type: '/problems/insufficient-coins', code: 'insufficient-coins' },
      ...{ need: 20, have: 0 },
    });
    const { userId } = account;
    await coinsOf(app).credit({ userId, amount: 20, kind: 'PURCHASE', reference: newId() });
    await make({ count: 2 }).expect(201);
    expect((await make({ count: 3 }).expect(402)).body).toMatchObject({ need: 30, have: 20 });
    // What is on hold cannot be spent again.
    const generation = { userId, amount: 1, kind: 'GENERATION', reference: newId() } as const;
    await coinsOf(app).hold(generation);
    expect((await make({ count: 2 }).expect(402)).body).toMatchObject({ need: 20, have: 19 });
  });

  it('leaves it to others to refuse what has no price', async () => {
    await make({}).expect(201);
    await make({ count: 'many' }).expect(201);
  });

  it('leaves it to the ledger to refuse what may be a repeat', async () => {
    await make({ count: 1_000 }).set('idempotency-key', newId()).expect(201);
  });

  it('tells nobody what it would cost who is not let in', async () => {
    await app.http.post('/api/v1/things').send({ count: 1_000 }).expect(401);
    await make({ count: 1_000 }, '/for-administrators').expect(403);
  });

  it('names the 402 in the document of the API', async () => {
    const { body } = await app.http.get('/openapi.json').expect(200);
    expect(body.paths['/api/v1/things'].post.responses['402'].description).toContain(
      'insufficient-coins',
    );
  });
});

describe('a price', () => {
  it('is registered once, and asked of nobody who has none', () => {
    const prices = new Prices();
    prices.register('thing', () => 1);
    expect(() => {
      prices.register('thing', () => 2);
    }).toThrow('twice');
    expect(() => prices.of('another', {})).toThrow('another');
  });
});
