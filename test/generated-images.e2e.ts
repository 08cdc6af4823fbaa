import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { newId } from '../src/core/ids.js';
import { provenanceXmp } from '../src/images/generated/provenance.js';
import { JobRefusal } from '../src/queue/job-errors.js';
import { widePng } from './bombs.js';
import { eventually } from './eventually.js';
import { PAINTED, TestGeneration, TRAINED } from './generation-double.js';
import { removalsOf, storedFiles, uploadPicture } from './image-requests.js';
import { drawing, makeAnimation, marked } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

const SIZES = ['original', 'large', 'medium', 'thumbnail'] as const;
const PACKET = provenanceXmp(TRAINED);

let app: TestingApp;
let generation: TestGeneration;
let owner: Account;
let png: Buffer;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { IMAGE_AVIF: 'true' } });
  generation = await TestGeneration.beside(app);
  owner = await app.register();
  png = await drawing({ width: 400, height: 300, alpha: true }).png().toBuffer();
});

afterEach(() => {
  generation.givenUp.length = 0;
  generation.refusal = undefined;
});

afterAll(async () => {
  await generation.close();
  await app.close();
});

const show = async (id: string, as = owner) =>
  (await app.as(as).get(`/api/v1/images/${id}`).expect(200)).body;

async function fetchFile(id: string, size: string, accept = 'image/webp'): Promise<Buffer> {
  const { body } = await app
    .as(owner)
    .get(`/api/v1/images/${id}/file?size=${size}`)
    .set('accept', accept)
    .expect(200);
  return body as Buffer;
}

/** Every file of an image: the original, each size as WebP, and as AVIF. */
async function filesOf(id: string): Promise<Buffer[]> {
  const webp = SIZES.map((size) => fetchFile(id, size));
  const avif = SIZES.slice(1).map((size) => fetchFile(id, size, 'image/avif'));
  return Promise.all([...webp, ...avif]);
}

const countOf = (text: string, file: Buffer) => file.toString('utf8').split(text).length - 1;

const variantsOf = (id: string) =>
  app.database.query<{ name: string; storage_key: string; checksum: string }>(
    'select name, storage_key, checksum from image_variants where image_id = $1 order by name, format',
    [id],
  );

describe('a picture that is yet to be generated', () => {
  let account: Account;
  let id: string;

  beforeAll(async () => {
    account = await app.register();
    [id = ''] = await generation.want(account, { title: 'A fox' });
  });

  it('is shown with its prompt, and with zeros for what is not known', async () => {
    const image = await show(id, account);
    expect(image).toMatchObject({
      ...{ id, type: 'GENERATED', status: 'PENDING', ready: false, title: 'A fox' },
      ...{ prompt: 'a fox in the snow', coinsUsed: 0, provenance: null, error: null },
      metadata: {
        ...{ width: 0, height: 0, size: 0, format: '', mimeType: '', frames: 0, hasAlpha: null },
      },
      ...{ dimensions: { width: 0, height: 0 }, sizeMb: 0, variants: {}, storageUrl: null },
    });
    const { body } = await app.as(account).get(`/api/v1/images/${id}/metadata`).expect(200);
    expect(body).toMatchObject({ id, width: 0, format: '', checksum: '', variants: {} });
    const file = await app.as(account).get(`/api/v1/images/${id}/file`).expect(202);
    expect(file.body).toMatchObject({ id, status: 'PENDING' });
  });

  it('is PROCESSING once a model is at work, and is no work of conversions', async () => {
    await generation.start([id]);
    expect(await show(id, account)).toMatchObject({ status: 'PROCESSING' });
    const { body } = await app.as(account).post(`/api/v1/images/${id}/reprocess`).expect(202);
    expect(body.status).toBe('PROCESSING');
    const [row] = await app.database.query(
      'select next_attempt_at, queued_at, attempts from images where id = $1',
      [id],
    );
    expect(row).toEqual({ next_attempt_at: null, queued_at: null, attempts: 0 });
  });

  it('has its place in lists of any order, page by page', async () => {
    const { body: upload } = await uploadPicture(app, account, png);
    const [other = ''] = await generation.want(account);
    for (const sort of ['size', '-size'] as const) {
      const seen: string[] = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const query: string = `sort=${sort}&limit=1${cursor && `&cursor=${cursor}`}`;
        const { body } = await app.as(account).get(`/api/v1/images?${query}`).expect(200);
        seen.push(...body.items.map((image: { id: string }) => image.id));
        cursor = body.nextCursor;
      }
      const ascending = [...[id, other].sort(), upload.id];
      expect(seen).toEqual(sort === 'size' ? ascending : ascending.reverse());
    }
    const found = await app.as(account).get('/api/v1/images?type=GENERATED&text=snow&total=true');
    expect(found.body).toMatchObject({ total: 2 });
  });

  it('counts in statistics, and takes nothing', async () => {
    const { body } = await app.as(account).get('/api/v1/images/stats').expect(200);
    expect(body).toMatchObject({
      byType: { UPLOADED: { count: 1 }, GENERATED: { count: 2, bytes: 0, coins: 0 } },
      byStatus: { PENDING: { count: 1, bytes: 0 }, PROCESSING: { count: 1 } },
    });
  });

  it('is part of an export, and can be changed', async () => {
    const changes = { title: 'A red fox', visibility: 'public' };
    await app.as(account).patch(`/api/v1/images/${id}`).send(changes).expect(200);
    const { body } = await app.as(account).get('/api/v1/me/export').expect(200);
    expect(body.images.find((image: { id: string }) => image.id === id)).toMatchObject({
      ...{ status: 'PROCESSING', prompt: 'a fox in the snow', title: 'A red fox', checksum: '' },
    });
  });

  it('is FAILED with the code that clients are shown, for good', async () => {
    await generation.fail([id], 'no-image');
    const failed = { status: 'FAILED', error: { code: 'no-image' }, ready: false };
    expect(await show(id, account)).toMatchObject(failed);
    await app.as(account).get(`/api/v1/images/${id}/file`).expect(409);
    const { body } = await app.as(account).post(`/api/v1/images/${id}/reprocess`).expect(200);
    expect(body).toMatchObject(failed);
    await generation.start([id]);
    await generation.fail([id], 'timeout');
    expect(await show(id, account)).toMatchObject(failed);
  });
});

describe('a generated picture', () => {
  it('has the files of an upload, and tells what made it and what was paid', async () => {
    const account = await app.register();
    const id = await generation.generate(account, png);
    const image = await show(id, account);
    expect(image).toMatchObject({
      ...{ type: 'GENERATED', status: 'COMPLETED', ready: true, coinsUsed: 100, error: null },
      ...{ provenance: TRAINED, dimensions: { width: 400, height: 300 } },
      metadata: { format: 'png', mimeType: 'image/png', size: png.length, hasAlpha: true },
      variants: { large: { width: 400 }, medium: { width: 400 }, thumbnail: { width: 320 } },
    });
    const { body } = await app.as(account).get('/api/v1/images/stats').expect(200);
    expect(body.byType.GENERATED).toMatchObject({ count: 1, coins: 100 });
    expect(body.byType.GENERATED.bytes).toBeGreaterThan(png.length);
    expect(await removalsOf(app, account)).toEqual([]);
    expect(await storedFiles(app, account, id)).toHaveLength(7);
  });

  it.each(['jpeg', 'png', 'webp'] as const)(
    'of a trained model says so in every file, and when its files are made anew: %s',
    async (format) => {
      const sent = await marked(drawing({ width: 400, height: 300 }))
        .toFormat(format)
        .toBuffer();
      const id = await generation.generate(owner, sent);
      const made = await variantsOf(id);
      for (let round = 0; round < 2; round += 1) {
        for (const file of await filesOf(id)) {
          const { xmp, exif, format: kind } = await sharp(file).metadata();
          expect([kind, xmp?.toString(), exif]).toEqual([kind, PACKET, undefined]);
          expect([kind, countOf('trainedAlgorithmicMedia', file)]).toEqual([kind, 1]);
          expect([kind, file.includes('MARKER')]).toEqual([kind, false]);
        }
        const again = await app
          .as(owner)
          .post(`/api/v1/images/${id}/reprocess?wait=30`)
          .expect(200);
        expect(again.body).toMatchObject({ status: 'COMPLETED', error: null, provenance: TRAINED });
      }
      const anew = await variantsOf(id);
      expect(anew.map(({ checksum }) => checksum)).toEqual(made.map(({ checksum }) => checksum));
      const original = (files: typeof made) => files.find(({ name }) => name === 'original');
      expect(original(anew)).toEqual(original(made));
      expect(anew.find(({ name }) => name === 'large')).not.toEqual(
        made.find(({ name }) => name === 'large'),
      );
    },
  );

  it('has no metadata when its model passes for nothing else', async () => {
    const sent = await marked().png().toBuffer();
    const id = await generation.generate(owner, sent, PAINTED);
    expect(await show(id)).toMatchObject({ provenance: PAINTED });
    for (const file of await filesOf(id)) {
      const { xmp, exif } = await sharp(file).metadata();
      expect([xmp, exif, file.includes('MARKER')]).toEqual([undefined, undefined, false]);
    }
  });

  it('is the only one with metadata: an upload loses even this', async () => {
    const id = await generation.generate(owner, png);
    const original = await fetchFile(id, 'original');
    expect((await sharp(original).metadata()).xmp?.toString()).toBe(PACKET);
    const { body } = await uploadPicture(app, owner, original);
    expect(body).toMatchObject({ status: 'COMPLETED', type: 'UPLOADED', provenance: null });
    for (const file of await filesOf(body.id)) {
      expect((await sharp(file).metadata()).xmp).toBeUndefined();
      expect(file.includes('trainedAlgorithmicMedia')).toBe(false);
    }
  });

  it('is no duplicate of what somebody uploads', async () => {
    const own = await drawing({ seed: 77 }).png().toBuffer();
    const id = await generation.generate(owner, own, PAINTED);
    const { body } = await app
      .as(owner)
      .post('/api/v1/images/upload?wait=30')
      .attach('image', own, 'x.png');
    expect(body).toMatchObject({ type: 'UPLOADED', status: 'COMPLETED' });
    expect([body.duplicate, body.id === id]).toEqual([undefined, false]);
  });
});

describe('what a model sends', () => {
  const bad: [string, () => Promise<Buffer> | Buffer][] = [
    ['nothing', () => Buffer.alloc(0)],
    ['text', () => Buffer.from('I cannot draw that, but here is a poem.')],
    ['SVG', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ['half a picture', () => png.subarray(0, png.length / 2)],
    ['damage that only decoding shows', () => Buffer.from(png).fill(7, 2_000, 2_100)],
    ['a decompression bomb', () => widePng(20_000, 20_000)],
    ['too much', () => Buffer.concat([png, Buffer.alloc(48 * 1024 * 1024)])],
    ['a type that carries no mark', () => makeAnimation({ format: 'gif' })],
  ];

  it.each(bad)('is refused as bad-output, and nothing of it stays: %s', async (_name, make) => {
    const account = await app.register();
    const [id = ''] = await generation.want(account);
    await generation.start([id]);
    await expect(generation.make(id, await make())).rejects.toMatchObject({
      ...{ name: 'JobRefusal', code: 'bad-output' },
    });
    expect(await storedFiles(app, account)).toEqual([]);
    expect(await show(id, account)).toMatchObject({ status: 'PROCESSING' });
  });

  it.each([new Error('gone'), new JobRefusal('timeout', 'It had its time.')])(
    'is not decoded for a caller who has given up: %s',
    async (gone) => {
      const [id = ''] = await generation.want(owner);
      await expect(generation.make(id, png, TRAINED, AbortSignal.abort(gone))).rejects.toBe(gone);
    },
  );

  it('may be larger than an upload', async () => {
    const [id = ''] = await generation.want(owner);
    const noise = randomBytes(3_000 * 2_600 * 3);
    const large = await sharp(noise, { raw: { width: 3_000, height: 2_600, channels: 3 } })
      .png()
      .toBuffer();
    expect(large.length).toBeGreaterThan(20 * 1024 * 1024);
    const made = await generation.make(id, large);
    expect(await generation.complete(made!)).toBe(true);
  });
});

describe('a result that comes too late', () => {
  const endings: [string, (id: string) => Promise<unknown>][] = [
    ['has failed', (id) => generation.fail([id], 'timeout')],
    ['was deleted', (id) => app.as(owner).delete(`/api/v1/images/${id}`).expect(204)],
  ];

  it.each(endings)('is not written, and its files go: the image %s', async (_name, end) => {
    const [id = ''] = await generation.want(owner);
    const made = (await generation.make(id, png))!;
    const keys = made.stored.newKeys;
    expect(await storedFiles(app, owner, id)).toHaveLength(keys.length);
    await end(id);
    expect(await generation.complete(made)).toBe(false);
    await generation.files.discard(made);
    expect(await storedFiles(app, owner, id)).toEqual([]);
    const targets = (await removalsOf(app, owner)).map(({ target }) => target);
    expect(targets.filter((target) => keys.includes(target))).toEqual([]);
    expect(await generation.make(id, png)).toBeUndefined();
  });

  it('leaves the files of one that came in time', async () => {
    const [id = ''] = await generation.want(owner);
    const [first, second] = [await generation.make(id, png), await generation.make(id, png)];
    expect(await generation.complete(second!)).toBe(true);
    expect(await generation.complete(first!)).toBe(false);
    await generation.files.discard(first!);
    await generation.files.discard(second!);
    expect(await storedFiles(app, owner, id)).toHaveLength(second!.stored.newKeys.length);
    expect(await filesOf(id)).toHaveLength(7);
    expect(await generation.make(id, png)).toBeUndefined();
  });

  it('is one that was completed already: doing it again changes nothing', async () => {
    const [id = ''] = await generation.want(owner);
    const made = (await generation.make(id, png))!;
    expect(await generation.complete(made)).toBe(true);
    const before = await show(id);
    expect(await generation.complete(made)).toBe(false);
    await generation.files.discard(made);
    expect(await show(id)).toMatchObject({ updatedAt: before.updatedAt, status: 'COMPLETED' });
    expect(await filesOf(id)).toHaveLength(7);
  });

  it('waits for a transaction that is just about to take its files', async () => {
    const [id = ''] = await generation.want(owner);
    const made = (await generation.make(id, png))!;
    let discarding = Promise.resolve();
    await generation.complete(made, async () => {
      discarding = generation.files.discard(made);
      await sleep(200);
    });
    await discarding;
    expect(await filesOf(id)).toHaveLength(7);
  });

  it('leaves nothing when the transaction fails, and can be made again', async () => {
    const [id = ''] = await generation.want(owner);
    const made = (await generation.make(id, png))!;
    const failing = generation.complete(made, () => Promise.reject(new Error('no coins')));
    await expect(failing).rejects.toThrow('no coins');
    expect(await show(id)).toMatchObject({ status: 'PROCESSING', coinsUsed: 0, provenance: null });
    await generation.files.discard(made);
    expect(await storedFiles(app, owner, id)).toEqual([]);
    const again = (await generation.make(id, png))!;
    expect(again.stored.version).toBeGreaterThan(made.stored.version);
    expect(await generation.complete(again)).toBe(true);
  });

  it('goes by itself when its worker was killed', async () => {
    const account = await app.register();
    const [id = ''] = await generation.want(account);
    const { stored } = (await generation.make(id, png))!;
    const removals = await removalsOf(app, account);
    expect(removals.map(({ target }) => target).toSorted()).toEqual(stored.newKeys.toSorted());
    await app.database.query('update file_removals set due_at = now() where target like $1', [
      `images/${account.userId}/%`,
    ]);
    const left = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 0,
    );
    expect(left).toEqual([]);
  });

  it('is one of two that come at once', async () => {
    const [id = ''] = await generation.want(owner);
    const made = await Promise.all([generation.make(id, png), generation.make(id, png)]);
    const won = await Promise.all(made.map((each) => generation.complete(each!)));
    expect(won.toSorted()).toEqual([false, true]);
    await Promise.all(made.map((each) => generation.files.discard(each!)));
    expect(await filesOf(id)).toHaveLength(7);
    expect(await storedFiles(app, owner, id)).toHaveLength(7);
  });
});

describe('who has pictures made', () => {
  it('hears that an image is being deleted that is not final', async () => {
    const [first = '', second = ''] = await generation.want(owner, { count: 2 });
    await generation.start([second]);
    for (const id of [first, second]) {
      await app.as(owner).delete(`/api/v1/images/${id}`).expect(204);
      await app.as(owner).delete(`/api/v1/images/${id}`).expect(204);
    }
    expect(generation.givenUp).toEqual([[first], [second]]);
  });

  it('hears nothing of what is final, uploaded, or of somebody else', async () => {
    const stranger = await app.register();
    const [pending = '', failed = ''] = await generation.want(owner, { count: 2 });
    await generation.fail([failed]);
    const completed = await generation.generate(owner, png);
    const { body: upload } = await uploadPicture(app, owner, png);
    await app.as(stranger).delete(`/api/v1/images/${pending}`).expect(404);
    for (const id of [failed, completed, upload.id]) {
      await app.as(owner).delete(`/api/v1/images/${id}`).expect(204);
    }
    expect(generation.givenUp).toEqual([]);
  });

  it('hears of it in the same transaction: when it cannot give up, nothing is deleted', async () => {
    const [id = ''] = await generation.want(owner);
    generation.refusal = new Error('not now');
    await app.as(owner).delete(`/api/v1/images/${id}`).expect(500);
    expect(await show(id)).toMatchObject({ status: 'PENDING' });
  });

  it('hears of all images of an account that is erased', async () => {
    const account = await app.register();
    const ids = await generation.want(account, { count: 3 });
    await generation.fail([ids[1] ?? '']);
    await generation.generate(account, png);
    const { password } = account;
    await app.as(account).delete('/api/v1/me').send({ password }).expect(204);
    expect(generation.givenUp).toEqual([[ids[0], ids[2]]]);
    const left = await app.database.query('select 1 from images where user_id = $1', [
      account.userId,
    ]);
    expect(left).toEqual([]);
    await expect(generation.want(account)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('completes a picture or sees it deleted, whoever comes first', async () => {
    const account = await app.register();
    for (let round = 0; round < 20; round += 1) {
      const [id = ''] = await generation.want(account);
      const made = (await generation.make(id, png))!;
      const deleting = sleep(round % 3).then(() =>
        app.as(account).delete(`/api/v1/images/${id}`).expect(204),
      );
      const isCompleted = await sleep((round % 5) * 2).then(() => generation.complete(made));
      await deleting;
      if (!isCompleted) await generation.files.discard(made);
      expect(await variantsOf(id)).toEqual([]);
      expect(generation.givenUp.flat().includes(id) || isCompleted).toBe(true);
    }
    // What was completed goes by the folder of its image, the rest has gone.
    await app.database.query('update file_removals set due_at = now() where target like $1', [
      `images/${account.userId}/%`,
    ]);
    expect(
      await eventually(
        () => storedFiles(app, account),
        (names) => names.length === 0,
      ),
    ).toEqual([]);
  }, 60_000);
});

describe('the quota', () => {
  it('refuses a full account, and is no reason to lose what was asked for', async () => {
    const account = await app.register();
    const [first = ''] = await generation.want(account);
    const { body } = await uploadPicture(app, account, png);
    const fill = 'update images set stored_bytes = $2 where id = $1';
    await app.database.query(fill, [body.id, 5 * 1024 ** 3]);
    await expect(generation.want(account)).rejects.toMatchObject({ code: 'quota-exceeded' });
    const made = await generation.make(first, png);
    expect(await generation.complete(made!)).toBe(true);
    await app.as(account).post('/api/v1/images/upload').attach('image', png, 'x').expect(507);
  });
});

describe('the database', () => {
  const insert = (values: Record<string, unknown>) =>
    app.database.query(
      `insert into images select (jsonb_populate_record(null::images, jsonb_build_object(
         'id', $1::uuid, 'user_id', $2::uuid, 'type', 'GENERATED', 'status', 'PENDING',
         'visibility', 'private', 'storage_key', 'images/x/1-y/unmade.none', 'version', 0,
         'last_version', 0, 'stored_bytes', 0, 'coins_used', 0, 'attempts', 0,
         'created_at', now(), 'updated_at', now()) || $3::jsonb)).*`,
      [newId(), owner.userId, JSON.stringify(values)],
    );
  const known = { metadata: {}, checksum: '0'.repeat(64) };
  const due = { next_attempt_at: new Date() };

  it('takes a picture that is yet to be generated', async () => {
    expect(await insert({})).toEqual([]);
  });

  it.each([
    ['images_unfinished_is_work', { ...due }],
    ['images_unfinished_is_work', { type: 'UPLOADED', ...known }],
    ['images_unfinished_is_work', { version: 1, provenance: {}, ...known }],
    ['images_made_is_known', { type: 'UPLOADED', ...due }],
    ['images_made_is_known', { version: 1, status: 'COMPLETED', provenance: {}, metadata: {} }],
    ['images_completed_was_made', { status: 'COMPLETED', ...known }],
    ['images_generated_has_provenance', { status: 'COMPLETED', version: 1, ...known }],
    ['images_generated_has_provenance', { type: 'UPLOADED', provenance: {}, ...known, ...due }],
    ['images_failed_has_error', { status: 'FAILED' }],
  ])('refuses by %s: %j', async (constraint, values) => {
    await expect(insert(values)).rejects.toMatchObject({ constraint });
  });
});
