import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { newId } from '../src/core/ids.js';
import {
  balanceOf,
  finalGeneration,
  generate,
  ledgerFaults,
  NO_FAULTS,
  withCoins,
} from './generation-requests.js';
import { coinsOf } from './ledger.js';
import { uploadPicture } from './image-requests.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let ana: Account;
let eve: Account;

beforeAll(async () => {
  app = await TestingApp.start();
  [ana, eve] = await Promise.all([withCoins(app, 10_000), withCoins(app, 10_000)]);
});

afterAll(() => app.close());

const rowsOf = (userId: string) =>
  app.database.query(
    `select 'generation' as kind from generations where user_id = $1
     union all select 'image' from images where user_id = $1`,
    [userId],
  );

describe('a picture that is asked for', () => {
  it('comes, as large as it was asked for, and is paid for', async () => {
    const before = await balanceOf(app, ana);
    const asked = { title: 'Dusk', aspectRatio: '16:9', seed: 7 };
    const { body } = await generate(app, ana, asked, { wait: 30 }).expect(201);
    expect(body.generation).toMatchObject({
      status: 'COMPLETED',
      position: null,
      seed: 7,
      coins: { held: 0, charged: 100, returned: 0 },
      imageIds: [body.image.id],
      error: null,
    });
    expect(body.image).toMatchObject({
      type: 'GENERATED',
      status: 'COMPLETED',
      title: 'Dusk',
      prompt: 'A lighthouse above the sea at dusk',
      coinsUsed: 100,
      ready: true,
      provenance: { model: body.generation.model.name, driver: 'local', digitalSourceType: null },
    });
    expect(body.images).toEqual([body.image]);
    const { width, height } = body.image.dimensions;
    expect(width / height).toBeCloseTo(16 / 9, 1);
    const file = await fetch(body.image.storageUrl);
    const large = await sharp(Buffer.from(await file.arrayBuffer())).metadata();
    expect([large.format, large.width]).toEqual(['webp', width]);
    expect(await balanceOf(app, ana)).toEqual({
      ...before,
      posted: before.posted - 100,
      available: before.available - 100,
    });
  });

  it('is answered at once by who does not wait, with its coins on hold', async () => {
    const before = await balanceOf(app, ana);
    const { body, headers } = await generate(app, ana).expect(202);
    expect(headers['location']).toBe(`/api/v1/generations/${body.generation.id}`);
    expect(body.image).toMatchObject({ status: 'PENDING', ready: false, variants: {} });
    expect(body.generation.coins).toEqual({ held: 100, charged: 0, returned: 0 });
    const final = await finalGeneration(app, ana, body.generation.id);
    expect(final.coins).toEqual({ held: 0, charged: 100, returned: 0 });
    expect((await balanceOf(app, ana)).available).toBe(before.available - 100);
  });

  it('is one of several, of which each is another one', async () => {
    const { body } = await generate(app, ana, { count: 3 }, { wait: 30 }).expect(201);
    expect(body.images).toHaveLength(3);
    expect(body.generation.coins.charged).toBe(300);
    expect(new Set(body.images.map((image: any) => image.placeholder)).size).toBe(3);
    expect(body.image).toEqual(body.images[0]);
  });

  it('has a seed that models take, also after the last', async () => {
    const asked = { seed: 2 ** 31 - 1, count: 2 };
    const { body } = await generate(app, ana, asked, { wait: 30 }).expect(201);
    expect(body.generation.coins.charged).toBe(200);
  });

  it('is made from pictures of its own', async () => {
    const { body: source } = await uploadPicture(app, ana, await makePicture());
    const asked = { sourceImageIds: [source.id], seed: 1 };
    const { body } = await generate(app, ana, asked, { wait: 30 }).expect(201);
    expect(body.generation).toMatchObject({ status: 'COMPLETED', sourceImageIds: [source.id] });
  });

  it('is counted among the images, and its coins as spent, also when it is deleted', async () => {
    const dan = await withCoins(app, 1_000);
    const stats = async () => (await app.as(dan).get('/api/v1/images/stats').expect(200)).body;
    const { body } = await generate(app, dan, { count: 2 }, { wait: 30 }).expect(201);
    expect(await stats()).toMatchObject({ coins: 200, byType: { GENERATED: { coins: 200 } } });
    await app.as(dan).delete(`/api/v1/images/${body.image.id}`).expect(204);
    expect(await stats()).toMatchObject({
      coins: 200,
      byType: { GENERATED: { count: 1, coins: 100 } },
    });
    const { userId } = dan;
    await coinsOf(app).credit({ userId, amount: 50, kind: 'REFUND', reference: newId() });
    await coinsOf(app).spend({ userId, amount: 1, kind: 'ADJUSTMENT', reference: newId() });
    await coinsOf(app).hold({ userId, amount: 9, kind: 'GENERATION', reference: newId() });
    expect((await stats()).coins).toBe(150);
  });
});

describe('a request for pictures', () => {
  it.each([
    [{ prompt: '   ' }, 'body.prompt'],
    [{ prompt: 'x'.repeat(4_001) }, 'body.prompt'],
    [{ prompt: 'a\u0000b' }, 'body.prompt'],
    [{ prompt: 'a\nb' }, 'body.prompt'],
    [{ prompt: 'a\tb' }, 'body.prompt'],
    [{ prompt: 'a\u0085b' }, 'body.prompt'],
    [{ prompt: 'a\ud800b' }, 'body.prompt'],
    [{ title: 'a\r\nb' }, 'body.title'],
    [{ title: 'a\u009fb' }, 'body.title'],
    [{ description: 'a\u0080b' }, 'body.description'],
    [{ prompt: 7 }, 'body.prompt'],
    [{ count: 0 }, 'body.count'],
    [{ count: 5 }, 'body.count'],
    [{ count: 1.5 }, 'body.count'],
    [{ aspectRatio: '7:1' }, 'body.aspectRatio'],
    [{ size: '16K' }, 'body.size'],
    [{ seed: -1 }, 'body.seed'],
    [{ style: 'brutal' }, 'body.style'],
    [{ sourceImageIds: ['x'] }, 'body.sourceImageIds.0'],
    [{ sourceImageIds: [newId()] }, 'body.sourceImageIds.0'],
    [{ coins: 0 }, 'body.coins'],
    [{ userId: newId() }, 'body.userId'],
  ])('is refused with %j', async (asked, path) => {
    const before = await balanceOf(app, ana);
    const { body } = await generate(app, ana, asked).expect(422);
    expect([body.code, body.errors[0].path]).toEqual(['validation-failed', path]);
    expect(await balanceOf(app, ana)).toEqual(before);
  });

  it('says why it takes no line break', async () => {
    const { body } = await generate(app, ana, { prompt: 'A fox\nin the snow' }).expect(422);
    expect(body.errors).toEqual([
      { path: 'body.prompt', message: 'must not contain line breaks or other control characters' },
    ]);
  });

  it('is trimmed, may be as long as it says, and describe its images in several lines', async () => {
    const prompt = '🦊'.repeat(4_000);
    await generate(app, ana, { prompt: `${prompt}.` }).expect(422);
    const asked = { prompt: `\t ${prompt}\n`, title: ' Dusk\n', description: 'A\nB\tC' };
    const { body } = await generate(app, ana, asked).expect(202);
    expect(body.generation.prompt).toBe(prompt);
    expect(body.image).toMatchObject({ prompt, title: 'Dusk', description: 'A\nB\tC' });
    await app.as(ana).delete(`/api/v1/generations/${body.generation.id}`);
  });

  it('names no picture of somebody else, nor one that is not there yet', async () => {
    const { body: theirs } = await uploadPicture(app, eve, await makePicture());
    await generate(app, ana, { sourceImageIds: [theirs.id] }).expect(422);
    await app.database.query(
      `update images set status = 'FAILED', error_code = 'x' where id = $1`,
      [theirs.id],
    );
    await generate(app, eve, { sourceImageIds: [theirs.id] }).expect(422);
  });

  it('that nobody could pay for leaves nothing', async () => {
    const poor = await withCoins(app, 99);
    const { body } = await generate(app, poor).expect(402);
    expect(body).toMatchObject({ code: 'insufficient-coins', need: 100, have: 99 });
    const several = await generate(app, poor, { count: 4 }, { key: newId() }).expect(402);
    expect(several.body).toMatchObject({ need: 400, have: 99 });
    expect(await rowsOf(poor.userId)).toEqual([]);
    expect(await balanceOf(app, poor)).toEqual({ posted: 99, held: 0, available: 99 });
  });
});

describe('a generation', () => {
  it('is shown and listed to its owner alone', async () => {
    const { body } = await generate(app, ana, {}, { wait: 30 }).expect(201);
    const { id } = body.generation;
    const { body: list } = await app.as(ana).get('/api/v1/generations?limit=1').expect(200);
    expect(list.items).toEqual([body.generation]);
    for (const method of ['get', 'delete'] as const) {
      await app.as(eve)[method](`/api/v1/generations/${id}`).expect(404);
    }
    await app.as(eve).get(`/api/v1/generations/${id}/events`).expect(404);
  });

  it('that is over cannot be cancelled', async () => {
    const { body } = await generate(app, ana, {}, { wait: 30 }).expect(201);
    const { body: refusal } = await app
      .as(ana)
      .delete(`/api/v1/generations/${body.generation.id}`)
      .expect(409);
    expect(refusal.code).toBe('generation-over');
  });
});

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
