import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { GeminiServer } from './gemini-server.js';
import {
  balanceOf,
  finalGeneration,
  generate,
  ledgerFaults,
  NO_FAULTS,
  withCoins,
} from './generation-requests.js';
import { uploadPicture } from './image-requests.js';
import { BLUE, expectColour, GREEN, pixel, RED, slideshow } from './paintings.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

let gemini: GeminiServer;
let app: TestingApp;
let ana: Account;

beforeAll(async () => {
  gemini = await GeminiServer.start();
  app = await TestingApp.start({ variables: gemini.variables });
  ana = await withCoins(app, 10_000);
});

afterAll(async () => {
  await app.close();
  await gemini.close();
});

afterEach(() => {
  gemini.requests.length = 0;
});

async function upload(file: Buffer): Promise<string> {
  const { body } = await uploadPicture(app, ana, file);
  expect(body.status).toBe('COMPLETED');
  return body.id;
}

/** The pictures that Gemini is shown for these. */
async function shownFor(sourceImageIds: string[]): Promise<{ mimeType: string; bytes: Buffer }[]> {
  const { body } = await generate(app, ana, { sourceImageIds }, { wait: 30 }).expect(201);
  expect(body.generation.status).toBe('COMPLETED');
  const parts = gemini.requests[0]?.body.contents[0]?.parts ?? [];
  return parts
    .filter((part) => 'inlineData' in part)
    .map(({ inlineData: { mimeType, data } }) => ({
      mimeType,
      bytes: Buffer.from(data, 'base64'),
    }));
}

describe('a source picture', () => {
  it('is sent as large as everyone sees it, in its place, without what it told of its owner', async () => {
    const photo = await sharp(await makePicture({ width: 3000, height: 1500 }))
      .withExif({ IFD0: { Artist: 'somebody' } })
      .jpeg()
      .toBuffer();
    const ids = [await upload(photo), await upload(await makePicture({ width: 60, height: 90 }))];
    const [large, small] = await shownFor(ids);
    const of = ({ bytes }: { bytes: Buffer }) => sharp(bytes).metadata();
    const first = await of(large!);
    expect(first).toMatchObject({ format: 'webp', width: 2048, height: 1024 });
    expect(first.exif).toBeUndefined();
    expect(await of(small!)).toMatchObject({ format: 'webp', width: 60, height: 90 });
    expect([large?.mimeType, small?.mimeType]).toEqual(['image/webp', 'image/webp']);
  });

  it.each(['gif', 'webp'] as const)(
    'that moves is sent as it begins, and stands still: %s',
    async (format) => {
      const size = { width: 300, height: 200 };
      const animation = await slideshow([GREEN, RED, BLUE], size);
      const id = await upload(await animation[format]({ delay: 80 }).toBuffer());
      const [shown] = await shownFor([id]);
      const bytes = shown?.bytes ?? Buffer.alloc(0);
      const { pages, ...still } = await sharp(bytes).metadata();
      expect(still).toMatchObject({ format: 'webp', ...size });
      expect(pages ?? 1).toBe(1);
      expect(bytes.includes('ANIM')).toBe(false);
      expectColour((await pixel({ path: bytes }, 150, 100)).slice(0, 3), GREEN, 12);
    },
  );

  it('that is deleted before its turn comes ends it, and nothing is charged or asked', async () => {
    const [id, other] = [await upload(await makePicture()), await upload(await makePicture())];
    const before = await balanceOf(app, ana);
    await app.worker?.stop();
    const asked = { sourceImageIds: [other, id], count: 2 };
    const { body } = await generate(app, ana, asked).expect(202);
    await app.as(ana).delete(`/api/v1/images/${id}`).expect(204);
    await app.startWorker();
    const generation = await finalGeneration(app, ana, body.generation.id);
    expect(generation).toMatchObject({
      status: 'FAILED',
      error: { code: 'source-missing' },
      coins: { held: 0, charged: 0, returned: 200 },
    });
    const endings = await app.database.query(
      'select phase from coin_transfers where reference = $1 and hold_id is not null',
      [generation.id],
    );
    expect(endings).toEqual([{ phase: 'VOID' }]);
    expect(await balanceOf(app, ana)).toEqual(before);
    expect(gemini.requests).toEqual([]);
  });
});

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
