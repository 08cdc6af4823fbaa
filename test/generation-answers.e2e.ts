import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { widePng } from './bombs.js';
import { type GeminiAnswer, GeminiServer, pictureOf } from './gemini-server.js';
import { balanceOf, generate, ledgerFaults, NO_FAULTS, withCoins } from './generation-requests.js';
import { removalsOf, storedFiles } from './image-requests.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

let gemini: GeminiServer;
let app: TestingApp;

beforeAll(async () => {
  gemini = await GeminiServer.start();
  app = await TestingApp.start({ variables: { ...gemini.variables, GENERATION_DEADLINE: '30' } });
});

afterAll(async () => {
  await app.close();
  await gemini.close();
});

afterEach(() => {
  gemini.next.length = 0;
  gemini.requests.length = 0;
});

/** Somebody's only picture, once it is over. */
async function make(...answers: GeminiAnswer[]) {
  gemini.next.push(...answers);
  const account = await withCoins(app, 100);
  const { body } = await generate(app, account, {}, { wait: 30 }).expect(201);
  return { account, image: body.image, generation: body.generation };
}

/** That it was asked for once, and left neither files nor a charge. */
async function expectNothing(account: Account, id: string): Promise<void> {
  expect(gemini.requests).toHaveLength(1);
  const endings = await app.database.query(
    'select phase from coin_transfers where reference = $1 and hold_id is not null',
    [id],
  );
  expect(endings).toEqual([{ phase: 'VOID' }]);
  expect(await balanceOf(app, account)).toEqual({ posted: 100, held: 0, available: 100 });
  expect(await storedFiles(app, account)).toEqual([]);
  expect(await removalsOf(app, account)).toEqual([]);
  const work = join(app.variables['DATA_DIR'] ?? '', 'work');
  const left = await readdir(work, { recursive: true, withFileTypes: true });
  expect(left.filter((entry) => entry.isFile())).toEqual([]);
}

describe('what Gemini sends', () => {
  it('is what its bytes are, whatever it is called', async () => {
    const parts = [
      { text: 'Here it is:' },
      pictureOf(await makePicture({ width: 120, height: 80, format: 'jpeg' }), 'image/png'),
    ];
    const { account, image, generation } = await make({ parts });
    expect(generation).toMatchObject({ status: 'COMPLETED', coins: { charged: 100 } });
    expect(image).toMatchObject({
      status: 'COMPLETED',
      metadata: { mimeType: 'image/jpeg', width: 120, height: 80 },
    });
    const original = app.as(account).get(`/api/v1/images/${image.id}/file?size=original`);
    await original.expect(200).expect('content-type', 'image/jpeg');
  });

  it.each<[string, () => Promise<Buffer>]>([
    ['no picture', async () => Buffer.from('no picture at all')],
    ['half a picture', async () => gemini.picture.subarray(0, gemini.picture.length / 2)],
    ['a page', async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['a decompression bomb', async () => widePng(30_000, 30_000)],
  ])('is bad-output when it is %s, and leaves nothing', async (_what, bytesOf) => {
    const { account, image, generation } = await make({ parts: [pictureOf(await bytesOf())] });
    expect(generation).toMatchObject({ status: 'FAILED', error: { code: 'bad-output' } });
    expect(image).toMatchObject({ status: 'FAILED', error: { code: 'bad-output' } });
    await expectNothing(account, generation.id);
  });

  it.each<[string, GeminiAnswer]>([
    [
      'a key that it does not take',
      { status: 400, reason: 'INVALID_ARGUMENT', details: [{ reason: 'API_KEY_INVALID' }] },
    ],
    ['a bill that is not paid', { status: 400, reason: 'FAILED_PRECONDITION' }],
    ['a region that it does not serve', { status: 403, reason: 'PERMISSION_DENIED' }],
    [
      'anything else that it refuses, even for later',
      { status: 401, reason: 'UNAUTHENTICATED', headers: { 'retry-after': '1' } },
    ],
  ])('is its last word on %s, of which the client hears nothing', async (_what, answer) => {
    const { account, image, generation } = await make(answer);
    const error = {
      code: 'unavailable',
      detail: 'The model cannot be asked at present. What does not come is not charged.',
    };
    expect(generation).toMatchObject({ status: 'FAILED', error });
    expect(image).toMatchObject({ status: 'FAILED', error });
    await expectNothing(account, generation.id);
  });

  it('is asked for again after a connection that was dropped, and charged once', async () => {
    const { account, generation } = await make('cut', 'cut-amid');
    expect([generation.status, gemini.requests.length]).toEqual(['COMPLETED', 3]);
    expect(await balanceOf(app, account)).toEqual({ posted: 0, held: 0, available: 0 });
  });
});

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
