import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { registerAdmin } from './administrators.js';
import { balanceOf, generate, ledgerFaults, NO_FAULTS, withCoins } from './generation-requests.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let ana: Account;

beforeAll(async () => {
  // Nobody works here: a cancellation just when a picture comes is in generation-races.e2e.ts.
  app = await TestingApp.start({ worker: false });
  ana = await withCoins(app, 1_000_000);
});

afterAll(() => app.close());

const cancel = (id: string, as = ana) => app.as(as).delete(`/api/v1/generations/${id}`);
const statusesOf = (id: string) =>
  app.database.query(
    `select images.status, images.error_code as code from images
     join generation_images on image_id = images.id where generation_id = $1`,
    [id],
  );
const endingsOf = (id: string) =>
  app.database.query<{ phase: string }>(
    `select phase from coin_transfers where kind = 'GENERATION' and reference = $1
     and hold_id is not null`,
    [id],
  );

async function begin(as = ana, asked: object = {}): Promise<string> {
  const { body } = await generate(app, as, asked).expect(202);
  return body.generation.id;
}

describe('a generation that is cancelled', () => {
  it('gives its coins back, and says so wherever it is shown', async () => {
    const before = await balanceOf(app, ana);
    const id = await begin(ana, { count: 2 });
    const { body } = await cancel(id).expect(200);
    expect(body).toMatchObject({
      status: 'FAILED',
      error: { code: 'cancelled' },
      coins: { held: 0, charged: 0, returned: 200 },
    });
    expect(await statusesOf(id)).toEqual(Array(2).fill({ status: 'FAILED', code: 'cancelled' }));
    expect(await endingsOf(id)).toEqual([{ phase: 'VOID' }]);
    expect(await balanceOf(app, ana)).toEqual(before);
  });

  it('is cancelled once, however often it is asked to be', async () => {
    const id = await begin();
    const answers = await Promise.all(Array.from({ length: 20 }, () => cancel(id)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(await endingsOf(id)).toHaveLength(1);
  });

  it('is one whose images are all deleted', async () => {
    const before = await balanceOf(app, ana);
    const id = await begin(ana, { count: 2 });
    const { body } = await app.as(ana).get(`/api/v1/generations/${id}`).expect(200);
    const [first, second] = body.imageIds;
    await app.as(ana).delete(`/api/v1/images/${first}`).expect(204);
    const { body: half } = await app.as(ana).get(`/api/v1/generations/${id}`).expect(200);
    expect(half).toMatchObject({ status: 'PENDING', imageIds: [second] });
    await app.as(ana).delete(`/api/v1/images/${second}`).expect(204);
    const { body: none } = await app.as(ana).get(`/api/v1/generations/${id}`).expect(200);
    expect(none).toMatchObject({ status: 'FAILED', error: { code: 'cancelled' }, imageIds: [] });
    expect(await balanceOf(app, ana)).toEqual(before);
  });

  it('is one whose owner is erased', async () => {
    const bob = await withCoins(app, 100);
    const id = await begin(bob);
    await app.as(bob).delete('/api/v1/me').send({ password: bob.password }).expect(204);
    expect(await endingsOf(id)).toEqual([{ phase: 'VOID' }]);
    expect(await app.database.query('select 1 from generations where id = $1', [id])).toEqual([]);
  });
});

it('deleting a picture that is to be made, and adjusting the coins of its owner, wait for each other', async () => {
  const admin = await registerAdmin(app);
  const bob = await withCoins(app, 10_000);
  const adjust = () =>
    app
      .as(admin)
      .post(`/api/v1/admin/users/${bob.userId}/coins`)
      .send({ amount: -1, reason: 'A test' });
  for (let round = 0; round < 20; round += 1) {
    const asked = await Promise.all(Array.from({ length: 5 }, () => generate(app, bob)));
    const answers = await Promise.all(
      asked.flatMap(({ body }) => [
        app.as(bob).delete(`/api/v1/images/${body.image.id}`),
        adjust(),
        adjust(),
      ]),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204, 201]));
  }
}, 60_000);

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
