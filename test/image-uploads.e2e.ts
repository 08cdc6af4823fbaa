import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { eventually } from './eventually.js';
import { removalsOf, startWithPicture, storedFiles, uploadPicture } from './image-requests.js';
import { fixture, makeAnimation, makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let owner: Account;
let picture: Buffer;

beforeAll(async () => {
  ({ app, owner, picture } = await startWithPicture());
});

afterAll(() => app.close());

const upload = (file = picture, fields: Record<string, string> = {}, as = owner) =>
  uploadPicture(app, as, file, fields);

describe('an upload', () => {
  it('is taken at once and becomes three WebP variants', async () => {
    const accepted = await app
      .as(owner)
      .post('/api/v1/images/upload?force=true')
      .field('title', '  A title ')
      .attach('image', picture, '../../etc/passwd')
      .expect(202);
    expect(accepted.headers['location']).toBe(`/api/v1/images/${accepted.body.id}`);
    expect(accepted.body).toMatchObject({
      status: 'PENDING',
      type: 'UPLOADED',
      title: 'A title',
      visibility: 'private',
      ready: false,
      variants: {},
      storageUrl: null,
    });

    const { body } = await upload();
    expect(body).toMatchObject({
      status: 'COMPLETED',
      ready: true,
      userId: owner.userId,
      metadata: { width: 3000, height: 2000, size: picture.length, format: 'jpeg' },
      dimensions: { width: 3000, height: 2000 },
      coinsUsed: 0,
      error: null,
      variants: {
        large: { width: 2048, height: 1365, format: 'webp' },
        medium: { width: 1024, height: 683, format: 'webp' },
        thumbnail: { width: 320, height: 213, format: 'webp' },
      },
    });
    const bytes = await fetch(body.thumbnailUrl).then((answer) => answer.arrayBuffer());
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 320 });
  });

  it('answers 201 when it waited until the image is final, else 202', async () => {
    expect((await upload()).status).toBe(201);
    const tooLong = await app
      .as(owner)
      .post('/api/v1/images/upload?force=true')
      .set('prefer', 'respond-async, wait=100')
      .attach('image', picture, 'x');
    expect(tooLong.headers['preference-applied']).toBe('wait=30');
    await app
      .as(owner)
      .post('/api/v1/images/upload?force=true&wait=31')
      .attach('image', picture)
      .expect(422);
    const impatient = await app
      .as(owner)
      .post('/api/v1/images/upload?force=true&wait=0')
      .attach('file', picture, 'x');
    expect(impatient.status).toBe(202);
  });

  it.each(['jpeg', 'png', 'webp', 'gif', 'avif'] as const)('takes %s', async (format) => {
    const { status, body } = await upload(await makePicture({ format }));
    expect([status, body.status, body.metadata.format]).toEqual([201, 'COMPLETED', format]);
    expect(body.dimensions).toEqual({ width: 640, height: 480 });
  });

  it('takes HEIC, as phones make it', async () => {
    const { status, body } = await upload(await fixture('p3.heic'));
    expect([status, body.status, body.metadata.format]).toEqual([201, 'COMPLETED', 'heic']);
    const bytes = await fetch(body.storageUrl).then((answer) => answer.arrayBuffer());
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', ...body.dimensions });
  });

  it.each(['gif', 'webp'] as const)('keeps the animation of a %s', async (format) => {
    const { body } = await upload(await makeAnimation({ format, frames: 5 }));
    expect(body).toMatchObject({ status: 'COMPLETED', metadata: { frames: 5 } });
    for (const url of [body.storageUrl, body.thumbnailUrl]) {
      const bytes = await fetch(url).then((answer) => answer.arrayBuffer());
      expect(await sharp(bytes, { animated: true }).metadata()).toMatchObject({
        format: 'webp',
        pages: 5,
        delay: [100, 100, 100, 100, 100],
      });
    }
  });

  it('tells dimensions at once, and a placeholder and a colour once it is decoded', async () => {
    const red = await sharp({
      create: { width: 300, height: 200, channels: 3, background: '#d01010' },
    })
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    await app.worker?.stop();
    const { body: accepted } = await app
      .as(owner)
      .post('/api/v1/images/upload?force=true')
      .attach('image', red, 'x');
    expect(accepted).toMatchObject({
      dimensions: { width: 200, height: 300 },
      metadata: { hasAlpha: null, frames: 1 },
      placeholder: null,
      dominantColor: null,
    });
    await app.startWorker();
    const { body } = await upload(red);
    expect(body.metadata.hasAlpha).toBe(false);
    expect(Buffer.from(body.placeholder, 'base64').length).toBeGreaterThan(4);
    const [r = 0, g = 0, b = 0] = [...Buffer.from(body.dominantColor.slice(1), 'hex')];
    expect(r).toBeGreaterThan(180);
    expect(Math.max(g, b)).toBeLessThan(60);
  });

  it('never enlarges, and makes all variants of a tiny picture', async () => {
    const { body } = await upload(await makePicture({ width: 5, height: 3, format: 'png' }));
    for (const name of ['large', 'medium', 'thumbnail']) {
      expect(body.variants[name]).toMatchObject({ width: 5, height: 3 });
    }
  });

  it('stands variants upright and takes all metadata out of them', async () => {
    const lying = await sharp(await makePicture({ width: 60, height: 40 }))
      .withExif({ IFD0: { Copyright: 'someone' }, IFD3: { GPSLatitudeRef: 'N' } })
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const { body } = await upload(lying);
    expect(body.dimensions).toEqual({ width: 40, height: 60 });
    const large = await fetch(body.variants.large.url).then((answer) => answer.arrayBuffer());
    const metadata = await sharp(large).metadata();
    expect(metadata).toMatchObject({ width: 40, height: 60 });
    expect(metadata.exif).toBeUndefined();
    expect(metadata.xmp).toBeUndefined();
    expect(metadata.icc).toBeUndefined();
  });

  it('ends FAILED with a code when only decoding shows the damage', async () => {
    const damaged = await makePicture({ format: 'png' });
    damaged.fill(0x55, damaged.length - 5_000, damaged.length - 4_000);
    const { status, body } = await upload(damaged);
    expect(status).toBe(201);
    expect(body).toMatchObject({
      status: 'FAILED',
      ready: false,
      variants: {},
      error: { code: 'undecodable', detail: expect.any(String) },
    });
    await app.as(owner).get(`/api/v1/images/${body.id}/file`).expect(409);
    const letters = await app.database.query(`select 1 from failed_jobs`);
    expect(letters).toEqual([]);
  });
});

describe('an identical upload', () => {
  const send = (account: Account, query = '', fields = {}) =>
    app
      .as(account)
      .post(`/api/v1/images/upload${query}`)
      .field(fields)
      .attach('image', picture, 'x');

  it('of the same owner is answered with the image that is there, and nothing is stored', async () => {
    const account = await app.register();
    const first = await send(account, '?wait=30', { title: 'first' }).expect(201);
    expect(first.body.duplicate).toBeUndefined();
    // The upload itself goes once the image is complete.
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 4,
    );
    const again = await send(account, '', { title: 'second' }).expect(201);
    expect(again.body).toMatchObject({ id: first.body.id, title: 'first', duplicate: true });
    expect(await storedFiles(app, account)).toEqual(files);
    expect(await removalsOf(app, account)).toEqual([]);
  });

  it('becomes another image when that is wanted', async () => {
    const account = await app.register();
    const first = await send(account).expect(202);
    const forced = await send(account, '?force=true').expect(202);
    expect(forced.body.id).not.toBe(first.body.id);
    expect(forced.body.duplicate).toBeUndefined();
    await send(account, '?force=perhaps').expect(422);
  });

  it('of another owner is an image of their own', async () => {
    const [one, other] = await Promise.all([app.register(), app.register()]);
    const ids = await Promise.all([one, other].map(async (each) => (await send(each)).body.id));
    expect(new Set(ids).size).toBe(2);
  });

  it('of one that failed is tried anew', async () => {
    const account = await app.register();
    const first = await send(account, '?wait=30').expect(201);
    await app.database.query(
      `update images set status = 'FAILED', error_code = 'internal-error' where id = $1`,
      [first.body.id],
    );
    expect((await send(account).expect(202)).body.id).not.toBe(first.body.id);
  });

  it('becomes one image also when many come at once', async () => {
    const account = await app.register();
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(account)));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.filter(({ body }) => body.duplicate)).toHaveLength(7);
    const originals = await eventually(
      async () => (await storedFiles(app, account)).filter((name) => name.startsWith('large')),
      (names) => names.length === 1,
    );
    expect(originals).toHaveLength(1);
  });

  it('waits for the image that is there when it is asked to', async () => {
    const account = await app.register();
    await app.worker?.stop();
    await send(account).expect(202);
    const waiting = send(account, '?wait=30');
    const answer = waiting.then(({ status, body }) => [status, body.status, body.duplicate]);
    await app.startWorker();
    expect(await answer).toEqual([201, 'COMPLETED', true]);
  });
});

describe('a worker', () => {
  it('keeps to the limits of pixels and time, and leaves no originals behind', async () => {
    const strict = await TestingApp.start({ worker: false });
    try {
      const account = await strict.register();
      await strict.startWorker({ IMAGE_MAX_PIXELS: '100000' });
      const large = await uploadPicture(strict, account, await makePicture());
      expect(large.body.error.code).toBe('too-many-pixels');
      await strict.worker?.stop();
      await strict.startWorker({ IMAGE_DECODE_TIMEOUT_MS: '100' });
      const slow = await uploadPicture(strict, account, picture);
      expect(slow.body.error.code).toBe('decode-timeout');
      expect(await strict.database.query('select 1 from failed_jobs')).toEqual([]);
      const work = () => readdir(join(strict.variables['DATA_DIR'] ?? '', 'work'));
      expect(await eventually(work, (names) => names.length === 0)).toEqual([]);
    } finally {
      await strict.close();
    }
  });
});
