import { type EntityManager } from '@mikro-orm/postgresql';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { postHold } from '../src/coins/ledger.js';
import { GeneratedImages } from '../src/images/generated/generated-images.js';
import { imageIdsOf } from '../src/generation/generation-endings.js';
import { paintPictures } from '../src/generation/generation.jobs.js';
import { type Generation } from '../src/generation/generation.entity.js';
import { LeaseLost, WorkLeases } from '../src/queue/work-lease.js';
import { balanceOf, generate, ledgerFaults, NO_FAULTS, withCoins } from './generation-requests.js';
import { inFlight } from '../bench/in-flight.js';
import { type Account, TestingApp } from './testing-app.js';

const RACES = 500;

let app: TestingApp;
let ana: Account;

beforeAll(async () => {
  // Nobody works here but the test itself.
  app = await TestingApp.start({ worker: false, variables: { GENERATION_PER_USER: '1000' } });
  ana = await withCoins(app, 1_000_000);
});

afterAll(() => app.close());

const cancel = (id: string, as = ana) => app.as(as).delete(`/api/v1/generations/${id}`);
const images = () => app.app.get(GeneratedImages, { strict: false });
const leases = () => app.app.get(WorkLeases, { strict: false });
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

/** Ends a generation as a worker does that has its picture, but for the picture. */
async function completeAs(id: string) {
  const lease = await leases().take(paintPictures, id);
  if (!lease) return 'too late';
  return leases()
    .complete(lease, async (row: Generation, em: EntityManager) => {
      await images().fail(em, await imageIdsOf(em, id), { code: 'none', detail: '' });
      const coins = row.complete(1, 1);
      expect(await postHold(em, row.holdId, coins)).toBe(true);
    })
    .then(
      () => 'completed',
      (error: unknown) => {
        if (error instanceof LeaseLost) return 'too late';
        throw error;
      },
    );
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

  it('ends either way and never both, of five hundred that are completed just then', async () => {
    const ids = await inFlight(Array.from({ length: RACES }), 20, () => begin());
    const before = await balanceOf(app, ana);
    const outcomes = await inFlight(ids, 8, async (id) => {
      const [completed, { status }] = await Promise.all([completeAs(id), cancel(id)]);
      return { id, completed, status };
    });
    let paid = 0;
    for (const { id, completed, status } of outcomes) {
      const [ending, ...more] = await endingsOf(id);
      expect(more).toEqual([]);
      const expected =
        completed === 'completed' ? { status: 409, phase: 'POST' } : { status: 200, phase: 'VOID' };
      expect({ status, phase: ending?.phase }).toEqual(expected);
      if (completed === 'completed') paid += 1;
    }
    const held = before.held - RACES * 100;
    expect(await balanceOf(app, ana)).toMatchObject({ posted: before.posted - paid * 100, held });
  }, 180_000);

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

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
