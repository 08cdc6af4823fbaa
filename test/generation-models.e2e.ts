import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { type GeminiAnswer, GeminiServer, pictureOf } from './gemini-server.js';
import { balanceOf, generate, ledgerFaults, NO_FAULTS, withCoins } from './generation-requests.js';
import { registerAdmin } from './administrators.js';
import { type Account, TestingApp } from './testing-app.js';

const DEADLINE_SECONDS = 6;

let gemini: GeminiServer;
let app: TestingApp;
let ana: Account;

beforeAll(async () => {
  gemini = await GeminiServer.start();
  app = await TestingApp.start({
    variables: {
      ...gemini.variables,
      GENERATION_DEADLINE: String(DEADLINE_SECONDS),
      GEMINI_PRICE_INPUT: '1',
      GEMINI_PRICE_TEXT: '2',
      GEMINI_PRICE_PICTURE: '30',
    },
  });
  ana = await withCoins(app, 100_000);
});

afterAll(async () => {
  await app.close();
  await gemini.close();
});

afterEach(() => {
  gemini.next.length = 0;
  gemini.requests.length = 0;
});

async function make(asked: object = {}) {
  const { body } = await generate(app, ana, asked, { wait: 30 }).expect(201);
  return body;
}

describe('a picture of a trained model', () => {
  it('says so in its record and in its file', async () => {
    const { image, generation } = await make();
    expect(generation).toMatchObject({
      status: 'COMPLETED',
      model: { name: 'gemini-nano-banana-2.1', driver: 'gemini' },
    });
    const file = Buffer.from(await (await fetch(image.storageUrl)).arrayBuffer());
    const { xmp } = await sharp(file).metadata();
    expect(xmp?.toString()).toContain('trainedAlgorithmicMedia');
    expect(image.provenance).toMatchObject({
      model: 'gemini-nano-banana-2.1',
      driver: 'gemini',
      digitalSourceType: expect.stringContaining('trainedAlgorithmicMedia'),
    });
  });

  it('is told to administrators with what it cost', async () => {
    const admin = await registerAdmin(app);
    await make();
    const { body } = await app.as(admin).get('/api/v1/admin/generations/costs').expect(200);
    const [today] = body.items;
    expect(today).toMatchObject({ model: 'gemini-nano-banana-2.1', driver: 'gemini' });
    expect(today.coinsCharged).toBe(today.pictures * 100);
    expect(today.costMicros).toBeGreaterThan(0);
    await app.as(ana).get('/api/v1/admin/generations/costs').expect(403);
  });

  it.each([
    ['to=0000-01-10', 422],
    ['to=0001-01-01', 422],
    ['from=1999-12-31&to=2000-02-01', 422],
    ['to=2000-01-10', 422],
    ['from=2000-01-01&to=2000-01-10', 200],
    ['from=2026-02-30', 422],
    ['to=9999-12-31', 200],
    ['from=2026-01-02&to=2026-01-01', 422],
    ['from=2024-01-01&to=2026-01-01', 422],
  ])('is told of days that make sense: %s is answered %i', async (days, status) => {
    const admin = await registerAdmin(app);
    const { body } = await app.as(admin).get(`/api/v1/admin/generations/costs?${days}`);
    expect(body).toMatchObject(
      status === 200 ? { items: [] } : { status, code: 'validation-failed' },
    );
  });
});

const REFUSALS: [string, GeminiAnswer, object][] = [
  ['blocks the prompt', { blockReason: 'SAFETY' }, { code: 'blocked', reason: 'safety' }],
  [
    'says something and paints nothing',
    { parts: [{ text: 'No.' }], finishReason: 'STOP' },
    { code: 'no-image' },
  ],
  ['is no longer there', { status: 404 }, { code: 'model-retired' }],
  [
    'sends what is no picture',
    { parts: [pictureOf(Buffer.from('no picture'))] },
    { code: 'bad-output' },
  ],
];

describe('a model', () => {
  it.each(REFUSALS)(
    'that %s is asked once, and nothing is charged',
    async (_what, answer, error) => {
      const before = await balanceOf(app, ana);
      gemini.next.push(answer);
      const { image, generation } = await make();
      expect(generation).toMatchObject({
        status: 'FAILED',
        error,
        coins: { held: 0, charged: 0, returned: 100 },
      });
      expect(image).toMatchObject({ status: 'FAILED', error: { code: generation.error.code } });
      expect(gemini.requests).toHaveLength(1);
      expect(await balanceOf(app, ana)).toEqual(before);
    },
  );

  it('that is busy or away for a moment is asked again', async () => {
    const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '0.1s' };
    gemini.next.push({ status: 429, details: [retry] }, { status: 503 }, 'cut');
    const { generation } = await make();
    expect([generation.status, gemini.requests.length]).toEqual(['COMPLETED', 4]);
  });

  it('that is busy for longer than there is time is waited for no longer', async () => {
    const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '60s' };
    gemini.next.push({ status: 429, details: [retry] });
    const { generation } = await make();
    expect(generation.error.code).toBe('rate-limited');
  });

  it('that hangs is waited for until the deadline, and its hold expires', async () => {
    gemini.next.push('hang');
    const { generation } = await make();
    expect(generation).toMatchObject({ status: 'FAILED', error: { code: 'timeout' } });
    const endings = await app.database.query(
      'select phase from coin_transfers where reference = $1 and hold_id is not null',
      [generation.id],
    );
    expect(endings).toEqual([{ phase: 'EXPIRE' }]);
  });

  it('that brings some of the pictures is paid for those', async () => {
    gemini.next.push({ blockReason: 'SAFETY' });
    const { images, generation } = await make({ count: 3 });
    expect(generation).toMatchObject({
      status: 'COMPLETED',
      coins: { held: 0, charged: 200, returned: 100 },
    });
    const statuses = images.map(({ status }: { status: string }) => status);
    expect(statuses.toSorted()).toEqual(['COMPLETED', 'COMPLETED', 'FAILED']);
    const shown = await Promise.all(
      generation.imageIds.map((id: string) => app.as(ana).get(`/api/v1/images/${id}`).expect(200)),
    );
    const errors = shown.map(({ body }) => body.error?.code ?? null);
    expect(errors.toSorted()).toEqual(['blocked', null, null]);
  });

  it('that brings one of them too late says of it what is true beside those that were paid for', async () => {
    gemini.next.push('hang');
    const { images, generation } = await make({ count: 2 });
    expect(generation.coins).toEqual({ held: 0, charged: 100, returned: 100 });
    const errors = images.flatMap(({ error }: { error: object | null }) => error ?? []);
    expect(errors).toEqual([
      {
        code: 'timeout',
        detail: 'The model took too long; try again later. What does not come is not charged.',
      },
    ]);
  });
});

it('never has its key in what is told or kept', async () => {
  const key = gemini.variables['GEMINI_API_KEY']!;
  const told = app.worker?.output ?? '';
  expect(told).toContain('Gemini makes no pictures');
  expect(told).not.toContain(key);
});

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
