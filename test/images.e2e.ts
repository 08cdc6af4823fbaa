import { createHash } from 'node:crypto';
import { mkdir, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import {
  fileNamesOf,
  plainNames,
  startWithPicture,
  storedFiles,
  uploadPicture,
} from './image-requests.js';
import { makePicture } from './pictures.js';
import { statusOf } from './status-of.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let owner: Account;
let stranger: Account;
let picture: Buffer;

beforeAll(async () => {
  ({ app, owner, stranger, picture } = await startWithPicture());
});

afterAll(() => app.close());

const upload = (file = picture, fields: Record<string, string> = {}, as = owner) =>
  uploadPicture(app, as, file, fields);

describe("another's image", () => {
  it('is as if it were not there', async () => {
    const { body } = await upload(picture, { visibility: 'public' });
    const url = `/api/v1/images/${body.id}`;
    const absent = `/api/v1/images/${newId()}`;
    for (const path of ['', '/metadata']) {
      const theirs = await app
        .as(stranger)
        .get(url + path)
        .expect(404);
      const nobodys = await app
        .as(stranger)
        .get(absent + path)
        .expect(404);
      expect({ ...theirs.body, requestId: 0 }).toEqual({ ...nobodys.body, requestId: 0 });
    }
    await app.as(stranger).delete(url).expect(404);
    await app.as(owner).get(url).expect(200);
    const list = await app.as(stranger).get('/api/v1/images?limit=100');
    expect(list.body.items.map((image: { id: string }) => image.id)).not.toContain(body.id);
  });
});

describe('the metadata of an image', () => {
  it('holds what is known of the picture, without links', async () => {
    const { body } = await upload();
    const answer = await app.as(owner).get(`/api/v1/images/${body.id}/metadata`).expect(200);
    expect(answer.body).toMatchObject({
      id: body.id,
      width: 3000,
      height: 2000,
      format: 'jpeg',
      mimeType: 'image/jpeg',
      size: picture.length,
      checksum: createHash('sha256').update(picture).digest('hex'),
      variants: { thumbnail: { width: 320, height: 213, format: 'webp' } },
    });
    expect(JSON.stringify(answer.body)).not.toContain('http');
  });
});

describe('the list of images', () => {
  let account: Account;
  let ids: string[];

  beforeAll(async () => {
    account = await app.register();
    ids = [];
    for (let i = 0; i < 5; i += 1) ids.unshift((await upload(picture, {}, account)).body.id);
    const damaged = await makePicture({ format: 'png' });
    damaged.fill(0x55, damaged.length - 5_000, damaged.length - 4_000);
    ids.unshift((await upload(damaged, { title: 'Broken 100%_' }, account)).body.id);
  });

  const list = (query: string) => app.as(account).get(`/api/v1/images${query}`);
  const idsOf = (answer: { body: { items: { id: string }[] } }) =>
    answer.body.items.map(({ id }) => id);

  it('is newest first, and walks by cursor without gaps', async () => {
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const { body }: { body: any } = await list(`?limit=2${cursor && `&cursor=${cursor}`}`).expect(
        200,
      );
      seen.push(...body.items.map(({ id }: { id: string }) => id));
      cursor = body.nextCursor;
    }
    expect(seen).toEqual(ids);
  });

  it('walks by offset as the first clients do, and counts when asked', async () => {
    const page = await list('?limit=2&offset=2&total=true').expect(200);
    expect(idsOf(page)).toEqual(ids.slice(2, 4));
    expect(page.body.total).toBe(6);
    expect((await list('')).body.total).toBeUndefined();
  });

  it('misses none of those that were made in the same millisecond', async () => {
    const twins = await app.register();
    for (let i = 0; i < 3; i += 1) await upload(picture, {}, twins);
    await app.database.query('update images set created_at = now() where user_id = $1', [
      twins.userId,
    ]);
    const page = (query: string) => app.as(twins).get(`/api/v1/images?limit=1${query}`);
    const seen = new Set<string>();
    let cursor: string | null = '';
    while (cursor !== null) {
      const { body }: { body: any } = await page(cursor && `&cursor=${cursor}`).expect(200);
      seen.add(body.items[0].id);
      cursor = body.nextCursor;
    }
    expect(seen.size).toBe(3);
  });

  it('filters by type and status', async () => {
    expect(idsOf(await list('?status=FAILED'))).toEqual(ids.slice(0, 1));
    expect(idsOf(await list('?status=COMPLETED&type=UPLOADED'))).toEqual(ids.slice(1));
    expect(idsOf(await list('?type=GENERATED'))).toEqual([]);
  });

  it('finds text in the title, the description and the prompt', async () => {
    const writer = await app.register();
    const [title, description, prompt] = ['Quartz A', 'Quartz B', 'Quartz C'];
    const { body: first } = await upload(picture, { title }, writer);
    const { body: second } = await upload(await makePicture(), { description }, writer);
    const { body: third } = await upload(await makePicture({ format: 'png' }), {}, writer);
    await app.database.query('update images set prompt = $1 where id = $2', [prompt, third.id]);
    const found = async (text: string) =>
      idsOf(await app.as(writer).get(`/api/v1/images?sort=createdAt&text=${text}`).expect(200));
    expect(await found('quartz')).toEqual([first.id, second.id, third.id]);
    expect(await found('quartz%20a')).toEqual([first.id]);
    expect(await found('quartz%20b')).toEqual([second.id]);
    expect(await found('quartz%20c')).toEqual([third.id]);
  });

  it('finds text whatever it holds and in any case', async () => {
    for (const text of ['broken', 'EN 100', '100%_']) {
      expect(idsOf(await list(`?text=${encodeURIComponent(text)}`))).toEqual(ids.slice(0, 1));
    }
    for (const text of ['%', '_', 'brok_n', "' or true --"]) {
      const found = idsOf(await list(`?text=${encodeURIComponent(text)}`));
      expect(found).toEqual('100%_'.includes(text) ? ids.slice(0, 1) : []);
    }
  });

  it('tells apart what is linked to a course or a session', async () => {
    const [linked] = ids.slice(2);
    await app.database.query(
      `insert into image_links (id, image_id, course_id, created_at)
       values (gen_random_uuid(), $1, gen_random_uuid(), now())`,
      [linked],
    );
    expect(idsOf(await list('?linked=true'))).toEqual([linked]);
    expect(idsOf(await list('?linked=false'))).toEqual(ids.filter((id) => id !== linked));
  });

  it.each([
    'createdAt',
    '-createdAt',
    'updatedAt',
    '-updatedAt',
    'title',
    '-title',
    'size',
    '-size',
  ])('walks by cursor without gaps when it is sorted by %s', async (sort) => {
    const { body: whole } = await list(`?sort=${sort}`).expect(200);
    const keys = whole.items.map((image: any) => {
      const { title, createdAt, updatedAt, metadata } = image;
      return { title: title?.toLowerCase() ?? '', createdAt, updatedAt, size: metadata.size }[
        sort.replace('-', '') as 'title'
      ];
    });
    const ascending = keys.toSorted((a: any, b: any) => (a < b ? -1 : a > b ? 1 : 0));
    expect(keys).toEqual(sort.startsWith('-') ? ascending.toReversed() : ascending);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const { body }: { body: any } = await list(
        `?limit=2&sort=${sort}${cursor && `&cursor=${cursor}`}`,
      ).expect(200);
      seen.push(...body.items.map(({ id }: { id: string }) => id));
      cursor = body.nextCursor;
    }
    expect(seen).toEqual(whole.items.map(({ id }: { id: string }) => id));
  });

  it('refuses the cursor of another order', async () => {
    const { body } = await list('?limit=2').expect(200);
    await list(`?sort=title&cursor=${body.nextCursor}`).expect(422);
  });

  it.each([
    ['?limit=101', 'query.limit'],
    ['?limit=0', 'query.limit'],
    ['?limit=two', 'query.limit'],
    ['?offset=-1', 'query.offset'],
    ['?status=DONE', 'query.status'],
    ['?sort=colour', 'query.sort'],
    ['?linked=maybe', 'query.linked'],
    ['?text=', 'query.text'],
    ['?cursor=bm90IG91cnM', 'query.cursor'],
    ['?cursor=x&offset=1', 'query.offset'],
  ])('refuses %s', async (query, path) => {
    const answer = await list(query).expect(422);
    expect(answer.body.errors[0].path).toBe(path);
  });
});

describe('changing an image', () => {
  const change = (id: string, changes: object, as = owner) =>
    app.as(as).patch(`/api/v1/images/${id}`).send(changes);

  it('sets what is given and leaves the rest', async () => {
    const { body } = await upload(picture, { title: 'old', description: 'kept' });
    const changed = await change(body.id, { title: ' new ' }).expect(200);
    expect(changed.body).toMatchObject({ title: 'new', description: 'kept' });
    expect(changed.body.updatedAt > body.updatedAt).toBe(true);
    expect((await change(body.id, { title: null }).expect(200)).body.title).toBeNull();
    expect((await change(body.id, {}).expect(200)).body.description).toBe('kept');
  });

  it('leaves the tags of its files as they are', async () => {
    const { body } = await upload();
    const tag = async () =>
      (await app.as(owner).get(`/api/v1/images/${body.id}/file`)).headers['etag'];
    const before = await tag();
    await change(body.id, { title: 'other' }).expect(200);
    expect(await tag()).toBe(before);
  });

  it.each([
    [{ title: 'x'.repeat(201) }, 'body.title'],
    [{ title: 7 }, 'body.title'],
    [{ visibility: null }, 'body.visibility'],
    [{ status: 'COMPLETED' }, 'body.status'],
    [{ coinsUsed: 0 }, 'body.coinsUsed'],
  ])('refuses %j', async (changes, path) => {
    const { body } = await upload();
    const answer = await change(body.id, changes).expect(422);
    expect(answer.body.errors[0].path).toBe(path);
  });

  it("is not for others' images", async () => {
    const { body } = await upload(picture, { visibility: 'public' });
    await change(body.id, { title: 'mine now' }, stranger).expect(404);
    await change(newId(), { title: 'x' }).expect(404);
  });
});

describe('making an image anew', () => {
  const reprocess = (id: string, query = '', as = owner) =>
    app.as(as).post(`/api/v1/images/${id}/reprocess${query}`);

  it('gives it new files, and serves the old ones until they are there', async () => {
    const { body: before } = await upload();
    await app.worker?.stop();
    const { body: waiting } = await reprocess(before.id).expect(202);
    expect(waiting).toMatchObject({ status: 'PENDING', ready: true });
    expect(await statusOf(waiting.storageUrl)).toBe(200);
    await app.as(owner).get(`/api/v1/images/${before.id}/file`).expect(200);

    await app.startWorker();
    const { body: after } = await reprocess(before.id, '?wait=30').expect(200);
    expect(after).toMatchObject({ status: 'COMPLETED', dimensions: before.dimensions });
    const names = [before, after].map(({ storageUrl }) => new URL(storageUrl).pathname);
    expect(plainNames(names.map((path) => basename(path)))).toEqual([
      'large-1.webp',
      'large-2.webp',
    ]);
    // The old link works for the grace, so that nobody who has it open sees a hole.
    expect(await statusOf(before.storageUrl)).toBe(200);
    expect(await statusOf(after.storageUrl)).toBe(200);
  });

  it('keeps the old files, and says why, when it does not succeed', async () => {
    const { body } = await upload();
    await app.worker?.stop();
    await app.startWorker({ IMAGE_MAX_PIXELS: '1000' });
    const { body: failed } = await reprocess(body.id, '?wait=30').expect(200);
    expect(failed).toMatchObject({
      status: 'COMPLETED',
      ready: true,
      error: { code: 'too-many-pixels' },
    });
    expect(await statusOf(failed.storageUrl)).toBe(200);
    await app.worker?.stop();
    await app.startWorker();
    expect((await reprocess(body.id, '?wait=30').expect(200)).body.error).toBeNull();
  });

  it('leaves none of the new files when one of them cannot be stored', async () => {
    const account = await app.register();
    const { body } = await upload(picture, {}, account);
    const [image] = await app.database.query<{ storage_key: string }>(
      'select storage_key from images where id = $1',
      [body.id],
    );
    const folder = join(app.variables['DATA_DIR'] ?? '', 'files', image!.storage_key, '..');
    // A folder in the place of the file cannot be replaced by it.
    const taken = join(
      folder,
      fileNamesOf(app.variables).nameOf({
        ...{ imageId: body.id, name: 'thumbnail', version: 2, format: 'webp' },
      }),
    );
    await mkdir(taken);
    await reprocess(body.id, '', account).expect(202);
    await eventually(
      () =>
        app.database.query<{ attempts: number; is_resting: boolean }>(
          'select attempts, lease_id is null as is_resting from images where id = $1',
          [body.id],
        ),
      ([row]) => row!.attempts === 1 && row!.is_resting,
    );
    // They are written down for removal before they are stored; their time has not come yet.
    await app.database.query(
      `update file_removals set due_at = now() where target like '%-2-%.webp' and target like $1`,
      [`images/${account.userId}/%`],
    );
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => plainNames(names).every((name) => name.includes('-1.')),
    );
    expect(files).toHaveLength(4);
    await rmdir(taken);
    expect((await reprocess(body.id, '?wait=30', account).expect(200)).body.error).toBeNull();
  });

  it('tries a failed one again', async () => {
    const account = await app.register();
    await app.worker?.stop();
    await app.startWorker({ IMAGE_MAX_PIXELS: '1000' });
    const { body } = await upload(picture, {}, account);
    expect(body.status).toBe('FAILED');
    await app.worker?.stop();
    await app.startWorker();
    const { body: mended } = await reprocess(body.id, '?wait=30', account).expect(200);
    expect(mended).toMatchObject({ status: 'COMPLETED', error: null });
  });

  it('is harmless when it is asked for many times', async () => {
    const { body } = await upload();
    await Promise.all(Array.from({ length: 5 }, () => reprocess(body.id)));
    const final = await reprocess(body.id, '?wait=30').expect(200);
    expect(final.body.status).toBe('COMPLETED');
    await reprocess(body.id, '', stranger).expect(404);
  });
});

describe('the upload itself', () => {
  it('is gone from storage once its image is completed', async () => {
    const account = await app.register();
    await upload(picture, {}, account);
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 4,
    );
    expect(plainNames(files)).toEqual([
      'large-1.webp',
      'medium-1.webp',
      'original-1.jpg',
      'thumbnail-1.webp',
    ]);
  });
});

describe('the statistics', () => {
  it('count by type and status, and what all takes in storage', async () => {
    const account = await app.register();
    const stats = async () => (await app.as(account).get('/api/v1/images/stats').expect(200)).body;
    expect(await stats()).toMatchObject({ count: 0, bytes: 0, coins: 0 });
    const { body } = await upload(picture, {}, account);
    await app.worker?.stop();
    const waiting = await makePicture();
    await app.as(account).post('/api/v1/images/upload').attach('image', waiting, 'x').expect(202);
    await app.startWorker();
    const { body: original } = await app
      .as(account)
      .get(`/api/v1/images/${body.id}/file?size=original`);
    const variants = Object.values<{ bytes: number }>(body.variants);
    const made = variants.reduce((sum, { bytes }) => sum + bytes, (original as Buffer).length);
    await eventually(stats, ({ byStatus }) => byStatus.COMPLETED.count === 2);
    const after = await stats();
    expect(after).toMatchObject({
      count: 2,
      coins: 0,
      quotaBytes: 5 * 1024 ** 3,
      byType: { UPLOADED: { count: 2 }, GENERATED: { count: 0, bytes: 0, coins: 0 } },
      byStatus: { COMPLETED: { count: 2 }, FAILED: { count: 0, bytes: 0 } },
    });
    expect(after.bytes).toBeGreaterThan(made);
    expect(after.byType.UPLOADED.bytes).toBe(after.bytes);
    expect(after.byStatus.COMPLETED.bytes).toBe(after.bytes);
    await app.database.query('update images set coins_used = 100 where id = $1', [body.id]);
    expect(await stats()).toMatchObject({
      coins: 0,
      byType: { UPLOADED: { coins: 100 }, GENERATED: { coins: 0 } },
      byStatus: { COMPLETED: { coins: 100 }, FAILED: { coins: 0 } },
    });
    await app.as(account).delete(`/api/v1/images/${body.id}`).expect(204);
    expect((await stats()).bytes).toBe(after.bytes - made);
  });
});

describe('deleting an image', () => {
  it('removes its row at once and its files after the grace, and may be repeated', async () => {
    const hasty = await TestingApp.start({ variables: { CLEANUP_GRACE_SECONDS: '10' } });
    try {
      const account = await hasty.register();
      const { body } = await uploadPicture(hasty, account, picture);
      const url = `/api/v1/images/${body.id}`;
      await hasty.as(account).delete(url).expect(204);
      await hasty.as(account).get(url).expect(404);
      await hasty.as(account).get(`${url}/file`).expect(404);
      expect(await statusOf(body.displayUrl)).toBe(200);
      await hasty.as(account).delete(url).expect(204);
      await hasty
        .as(await hasty.register())
        .delete(url)
        .expect(404);
      const left = () => storedFiles(hasty, account);
      expect(await eventually(left, (names) => names.length === 0, 25_000)).toEqual([]);
      expect(await statusOf(body.displayUrl)).toBe(404);
    } finally {
      await hasty.close();
    }
  }, 60_000);

  it('succeeds also when one of this id was deleted before', async () => {
    const { body } = await upload();
    await app.database.query(
      'insert into deleted_images (id, user_id, deleted_at) values ($1, $2, now())',
      [body.id, owner.userId],
    );
    await app.as(owner).delete(`/api/v1/images/${body.id}`).expect(204);
    await app.as(owner).get(`/api/v1/images/${body.id}`).expect(404);
  });
});

describe("the first clients' routes", () => {
  it('upload, fetch and describe as they always did', async () => {
    const { body, status } = await app
      .as(owner)
      .post('/upload?force=true')
      .attach('image', picture, 'x.jpg');
    expect([status, body.status]).toEqual([201, 'COMPLETED']);
    expect(Object.keys(body.variants).sort()).toEqual(['large', 'medium', 'thumbnail']);
    const thumbnail = await app.as(owner).get(`/images/${body.id}?size=thumbnail`).expect(200);
    expect((await sharp(thumbnail.body as Buffer).metadata()).width).toBe(320);
    const large = await app.as(owner).get(`/images/${body.id}`).expect(200);
    expect((await sharp(large.body as Buffer).metadata()).width).toBe(2048);
    await app.as(owner).get(`/images/${body.id}?size=xl`).expect(400);
    const metadata = await app.as(owner).get(`/image/metadata/${body.id}`).expect(200);
    expect(metadata.body.width).toBe(3000);
  });
});
