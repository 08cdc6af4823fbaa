import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import {
  balanceOf,
  generate,
  ledgerFaults,
  NO_FAULTS,
  transfersFor,
  withCoins,
} from './generation-requests.js';
import { TestingApp } from './testing-app.js';

const PRICES = [
  { model: 'of-somebody-else', coins: 1 },
  { size: '2K', count: 2, coins: 250 },
  { size: '2K', coins: 300 },
  { model: 'local-painter-1', count: 4, coins: 80 },
];

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { GENERATION_PRICES: JSON.stringify(PRICES) } });
});

afterAll(async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
  await app.close();
});

describe.each([
  ['no row fits', {}, 100],
  ['a row is of its size', { size: '2K' }, 300],
  ['a row before that is of its size and count', { size: '2K', count: 2 }, 500],
  ['a row is of its model and count', { count: 4 }, 320],
])('when %s', (_when, asked, price) => {
  it(`${JSON.stringify(asked)} puts ${price} coins on hold, and is charged for them`, async () => {
    const rich = await withCoins(app, price);
    const { body } = await generate(app, rich, asked, { wait: 30 }).expect(201);
    expect(body.generation.coins).toEqual({ held: 0, charged: price, returned: 0 });
    expect(await transfersFor(app, rich)).toEqual([
      { phase: 'HOLD', reference: body.generation.id, amount: price },
      { phase: 'POST', reference: body.generation.id, amount: price },
    ]);
    const { count } = body.generation;
    for (const { coinsUsed } of body.images) expect(coinsUsed).toBe(price / count);
    expect(await balanceOf(app, rich)).toEqual({ posted: 0, held: 0, available: 0 });
  }, 60_000);

  it(`${JSON.stringify(asked)} needs ${price} coins, as the guard and the ledger say`, async () => {
    const poor = await withCoins(app, price - 1);
    const refused = { code: 'insufficient-coins', need: price, have: price - 1 };
    const early = await generate(app, poor, asked).expect(402);
    expect(early.body).toMatchObject(refused);
    const late = await generate(app, poor, asked, { key: newId() }).expect(402);
    expect(late.body).toMatchObject(refused);
  });
});

it('who cannot pay hears that before anything else is looked at', async () => {
  const poor = await withCoins(app, 299);
  const asked = { size: '2K', sourceImageIds: [newId()] };
  const { body } = await generate(app, poor, asked).expect(402);
  expect(body).toMatchObject({ need: 300, have: 299 });
  // What may be a repeat is let in by the guard, and found to be none.
  await generate(app, poor, asked, { key: newId() }).expect(402);
});
