import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import pg from 'pg';
import { CoreModule } from '../src/core/core.module.js';
import { readEnv } from '../src/core/env.js';
import { newId } from '../src/core/ids.js';
import { DatabaseModule } from '../src/database.module.js';
import type { Finding, UpkeepSummary } from '../src/images/upkeep/findings.js';
import { ImageRetention } from '../src/images/upkeep/image-retention.js';
import { ImageUpkeepModule } from '../src/images/upkeep/image-upkeep.module.js';
import { ImageUpkeep, type UpkeepOptions } from '../src/images/upkeep/image-upkeep.service.js';
import { LostFiles } from '../src/images/upkeep/lost-files.js';
import { StrayFiles } from '../src/images/upkeep/stray-files.js';
import { ObjectNotFound, Storage } from '../src/storage/storage.js';
import { eventually } from './eventually.js';
import type { KeptFiles } from './kept-files.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

const RETENTION_DAYS = 30;
const SIZES = ['original', 'large', 'medium', 'thumbnail'] as const;

@Module({})
class UpkeepTestModule {}

let kept: KeptFiles;
let app: TestingApp;
let account: Account;
let storage: Storage;
let upkeep: INestApplicationContext;

function startUpkeep(variables: Record<string, string> = {}): Promise<INestApplicationContext> {
  const env = readEnv({ ...app.variables, ...variables });
  const imports = [CoreModule.forRoot(env), DatabaseModule, ImageUpkeepModule];
  return NestFactory.createApplicationContext(
    { module: UpkeepTestModule, imports },
    { logger: false, abortOnError: false },
  );
}

interface Round extends UpkeepSummary {
  reported: Finding[];
}

async function round(options: Partial<UpkeepOptions> = {}, context = upkeep): Promise<Round> {
  const reported: Finding[] = [];
  const summary = await context.get(ImageUpkeep).run({
    ...{ repair: false, checksums: false, force: false },
    signal: new AbortController().signal,
    report: (finding) => reported.push(finding),
    ...options,
  });
  return { ...summary, reported };
}

/** Nothing is found any more. */
async function expectAllWell(options: Partial<UpkeepOptions> = {}): Promise<void> {
  expect((await round(options)).reported).toEqual([]);
}

const sha256 = (content: string) => createHash('sha256').update(content).digest('hex');

/** Puts a file in storage that looks so many seconds old. */
async function store(key: string, content = key, ageSeconds = 86_400): Promise<string> {
  await storage.uploadBuffer(key, Buffer.from(content));
  const seconds = Math.floor(Date.now() / 1_000) - ageSeconds;
  await kept.setTime(app, key, new Date(seconds * 1_000));
  return key;
}

async function emptyStorage(): Promise<void> {
  const keys: string[] = [];
  for await (const { key } of storage.listAll()) keys.push(key);
  await Promise.all(keys.map((key) => storage.delete(key)));
}

async function isStored(key: string): Promise<boolean> {
  try {
    await storage.head(key);
    return true;
  } catch (error) {
    if (error instanceof ObjectNotFound) return false;
    throw error;
  }
}

interface ImageOptions {
  status?: 'PENDING' | 'PROCESSING' | 'COMPLETED' | 'FAILED';
  type?: 'UPLOADED' | 'GENERATED';
  ageDays?: number;
  errorCode?: string | null;
}

interface CreatedImage {
  id: string;
  folder: string;
  source: string;
  /** The keys of the variants by name. */
  files: Record<(typeof SIZES)[number], string>;
}

/** An image with its files as a conversion leaves it, or with its upload alone. */
async function createImage({
  status = 'COMPLETED',
  type = 'UPLOADED',
  ageDays = 0,
  errorCode = status === 'FAILED' ? 'undecodable' : null,
}: ImageOptions = {}): Promise<CreatedImage> {
  const id = newId();
  const folder = `images/${account.userId}/${Date.now()}-${id}/`;
  const isMade = status === 'COMPLETED';
  const isUnmade = type === 'GENERATED' && !isMade;
  const source = isUnmade
    ? `${folder}unmade.none`
    : await store(`${folder}${isMade ? 'original-1' : 'upload'}.jpg`);
  const isDue = !isUnmade && (status === 'PENDING' || status === 'PROCESSING');
  await app.database.query(
    `insert into images (id, user_id, type, status, storage_key, version, stored_bytes, metadata,
       checksum, provenance, error_code, created_at, updated_at, next_attempt_at)
     values ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, now() - make_interval(days => $11), now(),
       case when $12 then now() + interval '1 hour' end)`,
    [
      ...[id, account.userId, type, status, source, isMade ? 1 : 0],
      isUnmade ? null : '{"width":1,"height":1,"size":1,"format":"jpeg"}',
      isUnmade ? null : sha256(id),
      isMade && type === 'GENERATED' ? '{}' : null,
      ...[errorCode, ageDays, isDue],
    ],
  );
  const files = {} as CreatedImage['files'];
  for (const name of isMade ? SIZES : []) {
    const key = name === 'original' ? source : await store(`${folder}${name}-1.webp`);
    files[name] = key;
    await app.database.query(
      `insert into image_variants
         (image_id, name, format, storage_key, width, height, bytes, checksum, created_at)
       values ($1, $2, $3, $4, 1, 1, $5, $6, now())`,
      [id, name, name === 'original' ? 'jpeg' : 'webp', key, key.length, sha256(key)],
    );
  }
  return { id, folder, source, files };
}

async function imageRow(id: string) {
  const [row] = await app.database.query<{
    status: string;
    error_code: string | null;
    next_attempt_at: Date | null;
    variants: string[];
  }>(
    `select status, error_code, next_attempt_at,
       array(select name from image_variants where image_id = images.id order by name) as variants
     from images where id = $1`,
    [id],
  );
  return row;
}

/** What is found and repaired between files and rows, whatever keeps the files. Once in each test file. */
export function describeImageUpkeep(name: string, make: () => Promise<KeptFiles>): void {
  describe(`on ${name} storage`, () => {
    beforeAll(async () => {
      kept = await make();
      const variables = { ...kept.variables, CLEANUP_GRACE_SECONDS: '2' };
      app = await TestingApp.start({ worker: false, variables });
      account = await app.register();
      storage = app.app.get(Storage);
    });

    beforeEach(async () => {
      upkeep = await startUpkeep({ IMAGE_RETENTION_DAYS: String(RETENTION_DAYS) });
    });

    afterEach(async () => {
      await upkeep.close();
      await app.database.query('delete from images');
      await app.database.query('delete from file_removals');
      await emptyStorage();
    });

    afterAll(async () => {
      await app.close();
      await kept.close();
    });

    describe('a file without a row', () => {
      it('is reported, then removed, and found no more', async () => {
        const kept = await createImage();
        const key = await store(`${kept.folder}large-2.webp`);
        const alone = await store(`images/${account.userId}/1-${newId()}/upload.jpg`);
        const odd = await store(`images/${newId()}/whatever/x.png`);
        const found = await round();
        expect(found.reported.map(({ key: each }) => each).toSorted()).toEqual(
          [alone, key, odd].toSorted(),
        );
        expect(found).toMatchObject({ files: 7, images: 1, left: 3, repaired: 0 });
        expect(found.reported[0]).toMatchObject({ kind: 'stray-file', outcome: 'found' });
        expect(await Promise.all([alone, key, odd].map(isStored))).toEqual([true, true, true]);

        const repaired = await round({ repair: true });
        expect(repaired).toMatchObject({ repaired: 3, left: 0, findings: { 'stray-file': 3 } });
        expect(await Promise.all([alone, key, odd].map(isStored))).toEqual([false, false, false]);
        expect(await Promise.all(Object.values(kept.files).map(isStored))).not.toContain(false);
        await expectAllWell();
      });

      it('is left alone while it is young: its row may be on its way', async () => {
        // Longer than UPLOAD_TIMEOUT_MS, which is ten minutes.
        await store(`images/${account.userId}/1-${newId()}/upload.jpg`, 'x', 9 * 60);
        await expectAllWell({ repair: true });
        await store(`images/${account.userId}/1-${newId()}/upload.jpg`, 'x', 11 * 60);
        expect(await round({ repair: true })).toMatchObject({ files: 2, repaired: 1 });
      });

      it('is none while its image is being made', async () => {
        for (const type of ['UPLOADED', 'GENERATED'] as const) {
          for (const status of ['PENDING', 'PROCESSING'] as const) {
            const { folder } = await createImage({ status, type });
            await store(`${folder}large-1.webp`);
          }
          await createImage({ status: 'FAILED', type });
        }
        await expectAllWell({ repair: true });
      });

      it('is none when it is about to be removed, by its key or its folder', async () => {
        const folder = `images/${account.userId}/1-${newId()}/`;
        const other = `images/${account.userId}/2-${newId()}/`;
        const user = `images/${newId()}/`;
        await store(`${folder}a.jpg`);
        await store(`${other}a.jpg`);
        await store(`${user}1-x/a.jpg`);
        const stray = await store(`${other}b.jpg`);
        for (const target of [folder, `${other}a.jpg`, user]) {
          await app.database.query(
            `insert into file_removals (id, target, due_at) values ($1, $2, now() + interval '1 hour')`,
            [newId(), target],
          );
        }
        expect((await round()).reported.map(({ key }) => key)).toEqual([stray]);
      });

      it('is none when an image in another folder is made from it', async () => {
        const { id } = await createImage({ status: 'FAILED' });
        const key = await store(`images/${account.userId}/1-elsewhere/upload.jpg`);
        await app.database.query('update images set storage_key = $2 where id = $1', [id, key]);
        expect((await round({ repair: true })).reported.map(({ key: each }) => each)).not.toContain(
          key,
        );
      });

      it('stays when it got its row between being found and being removed', async () => {
        const strays = upkeep.get(StrayFiles);
        const { id, folder } = await createImage();
        const key = await store(`${folder}large-2.webp`);
        await app.database.query(
          `update images set status = 'PENDING', next_attempt_at = now() + interval '1 hour' where id = $1`,
          [id],
        );
        expect(await strays.remove(key)).toBe(false);
        const stored = await store(`images/${account.userId}/1-${newId()}/upload.jpg`, 'x', 1);
        expect(await strays.remove(stored)).toBe(false);
        expect(await strays.remove(`images/${account.userId}/1-${newId()}/gone.jpg`)).toBe(false);
        expect([await isStored(key), await isStored(stored)]).toEqual([true, true]);
      });

      it('is held back when most files would go, unless that is forced', async () => {
        const keys = Array.from(
          { length: 101 },
          (_, index) => `images/${newId()}/1-x/${index}.jpg`,
        );
        await Promise.all(keys.map((key) => store(key)));
        const held = await round({ repair: true });
        expect(held).toMatchObject({ repaired: 0, left: 101, heldBack: 101 });
        expect(held.reported[0]).toMatchObject({ outcome: 'left' });
        expect(await isStored(keys[0]!)).toBe(true);
        expect(await round({ repair: true, force: true })).toMatchObject({
          repaired: 101,
          left: 0,
        });
        await expectAllWell();
      });
    });

    describe('a row without its file', () => {
      it.each(['UPLOADED', 'GENERATED'] as const)(
        'is made anew from the original: %s',
        async (type) => {
          const { id, files } = await createImage({ type });
          await storage.delete(files.medium);
          const found = await round();
          expect(found.reported).toEqual([
            {
              kind: 'missing-file',
              imageId: id,
              key: files.medium,
              remedy: 'reprocess',
              outcome: 'found',
            },
          ]);
          expect(await imageRow(id)).toMatchObject({ status: 'COMPLETED' });
          expect(await round({ repair: true })).toMatchObject({ repaired: 1, left: 0 });
          expect(await imageRow(id)).toMatchObject({
            status: 'PENDING',
            next_attempt_at: expect.any(Date),
          });
          await expectAllWell();
        },
      );

      it('is made anew when the file has another size', async () => {
        const { id, files } = await createImage();
        await store(files.large, 'cut off');
        expect((await round({ repair: true })).reported).toMatchObject([
          { kind: 'wrong-size', key: files.large, remedy: 'reprocess', outcome: 'repaired' },
        ]);
        expect(await imageRow(id)).toMatchObject({ status: 'PENDING' });
      });

      it.each(['gone', 'cut off'])(
        'becomes FAILED when the original is %s, and keeps what is left',
        async (how) => {
          const { id, files } = await createImage();
          if (how === 'gone') await storage.delete(files.original);
          else await store(files.original, how);
          await storage.delete(files.large);
          const found = await round();
          expect(found.reported).toMatchObject([
            { key: files.large, remedy: 'mark-failed' },
            { key: files.original, remedy: 'mark-failed' },
          ]);
          expect(await round({ repair: true })).toMatchObject({ repaired: 2, left: 0 });
          expect(await imageRow(id)).toMatchObject({
            status: 'FAILED',
            error_code: 'file-missing',
          });
          await expectAllWell({ repair: true });
          expect(await isStored(files.medium)).toBe(true);
          const { body } = await app.as(account).get(`/api/v1/images/${id}`).expect(200);
          expect(body).toMatchObject({ status: 'FAILED', error: { code: 'file-missing' } });
          expect(body).toMatchObject({ ready: false, storageUrl: null, variants: {} });
          await app.as(account).get(`/api/v1/images/${id}/file?size=medium`).expect(200);
          await app.as(account).get(`/api/v1/images/${id}/file?size=large`).expect(404);
        },
      );

      it('is COMPLETED again once all its files are there again, and not before', async () => {
        const { id, files } = await createImage();
        await storage.delete(files.original);
        await storage.delete(files.large);
        await round({ repair: true });
        await store(files.large);
        expect(await round({ repair: true })).toMatchObject({ repaired: 0, left: 0 });
        await store(files.original);
        expect((await round()).reported).toMatchObject([
          { kind: 'found-again', imageId: id, remedy: 'restore', outcome: 'found' },
        ]);
        expect(await round({ repair: true })).toMatchObject({ repaired: 1, left: 0 });
        expect(await imageRow(id)).toMatchObject({ status: 'COMPLETED', error_code: null });
        await expectAllWell({ repair: true });
      });

      it('is made after all when its upload was missing and is there again', async () => {
        const { id, source } = await createImage({ status: 'FAILED', errorCode: 'file-missing' });
        await storage.delete(source);
        await expectAllWell({ repair: true });
        await store(source);
        expect((await round()).reported).toMatchObject([
          { kind: 'found-again', imageId: id, key: source, remedy: 'reprocess', outcome: 'found' },
        ]);
        expect(await round({ repair: true })).toMatchObject({ repaired: 1, left: 0 });
        expect(await imageRow(id)).toMatchObject({
          ...{ status: 'PENDING', error_code: null, next_attempt_at: expect.any(Date) },
        });
        await expectAllWell({ repair: true });
      });

      it('becomes FAILED when it was refused to be made anew already', async () => {
        const refused = await createImage({ errorCode: 'undecodable' });
        const unlucky = await createImage({ errorCode: 'internal-error' });
        await storage.delete(refused.files.large);
        await storage.delete(unlucky.files.large);
        expect(await round({ repair: true })).toMatchObject({ repaired: 2, left: 0 });
        expect(await imageRow(refused.id)).toMatchObject({ status: 'FAILED' });
        expect(await imageRow(unlucky.id)).toMatchObject({ status: 'PENDING' });
      });

      /** What a walk says of the only faulty image. */
      async function findFaulty() {
        for await (const { suspects } of upkeep
          .get(LostFiles)
          .find(false, new AbortController().signal)) {
          if (suspects[0]) return suspects[0];
        }
        throw new Error('No image is faulty');
      }

      it('is repaired once, however many find it at the same moment', async () => {
        const { files } = await createImage();
        await storage.delete(files.large);
        const faulty = await findFaulty();
        const repairs = Array.from({ length: 6 }, () =>
          upkeep.get(LostFiles).repair(faulty, false),
        );
        expect((await Promise.all(repairs)).filter((isDone) => isDone)).toHaveLength(1);
      });

      it('is left alone when it is sound again, or has become worse, since it was found', async () => {
        const { id, files } = await createImage();
        await storage.delete(files.large);
        const faulty = await findFaulty();
        await store(files.large);
        expect(await upkeep.get(LostFiles).repair(faulty, false)).toBe(false);
        await storage.delete(files.large);
        await storage.delete(files.original);
        expect(await upkeep.get(LostFiles).repair(faulty, false)).toBe(false);
        expect(await imageRow(id)).toMatchObject({ status: 'COMPLETED' });
      });

      it('is left to the job while the image is being made, and stays FAILED', async () => {
        for (const status of ['PENDING', 'PROCESSING', 'FAILED'] as const) {
          const { source } = await createImage({ status });
          await storage.delete(source);
          await createImage({ status, type: 'GENERATED' });
        }
        await expectAllWell({ repair: true, checksums: true });
      });

      it('is held back when most images would be lost, as when a disk is not mounted', async () => {
        const images = await Promise.all(Array.from({ length: 101 }, () => createImage()));
        await emptyStorage();
        expect(await round({ repair: true })).toMatchObject({
          repaired: 0,
          heldBack: 101,
          images: 101,
        });
        expect(await imageRow(images[0]!.id)).toMatchObject({ status: 'COMPLETED' });
        expect(await round({ repair: true, force: true })).toMatchObject({
          repaired: 404,
          left: 0,
        });
        await expectAllWell();
      });

      it('is found on every page of rows', async () => {
        for (let index = 0; index < 3; index += 1) await createImage();
        await app.database.query(
          `insert into images (id, user_id, type, status, storage_key, version, stored_bytes, metadata,
         checksum, created_at, updated_at)
       select gen_random_uuid(), user_id, type, status, storage_key, version, stored_bytes,
         metadata, checksum, created_at, updated_at
       from images, generate_series(1, 200)`,
        );
        expect(await round()).toMatchObject({ images: 603, left: 0 });
      });
    });

    describe('checksums', () => {
      it('are compared on request, and a wrong variant is made anew', async () => {
        const { id, files } = await createImage();
        await store(files.thumbnail, files.thumbnail.replace('thumb', 'bmuht'));
        await expectAllWell();
        expect((await round({ checksums: true })).reported).toMatchObject([
          { kind: 'wrong-checksum', key: files.thumbnail, remedy: 'reprocess', outcome: 'found' },
        ]);
        expect(await round({ checksums: true, repair: true })).toMatchObject({
          repaired: 1,
          left: 0,
        });
        expect(await imageRow(id)).toMatchObject({ status: 'PENDING' });
        await expectAllWell({ checksums: true });
      });

      it('leave a damaged original to a person', async () => {
        const { id, files } = await createImage();
        await store(files.original, files.original.replace('original', 'lanigiro'));
        await store(files.thumbnail, files.thumbnail.replace('thumb', 'bmuht'));
        const { reported, left, repaired } = await round({ checksums: true, repair: true });
        expect(reported).toMatchObject([
          { key: files.original, remedy: 'none', outcome: 'left' },
          { key: files.thumbnail, remedy: 'none', outcome: 'left' },
        ]);
        expect([left, repaired]).toEqual([2, 0]);
        expect(await imageRow(id)).toMatchObject({ status: 'COMPLETED' });
      });
    });

    describe('the retention of uploads', () => {
      async function link(imageId: string): Promise<void> {
        await app.database.query(
          `insert into image_links (id, image_id, course_id, created_at)
       values ($1, $2, gen_random_uuid(), now())`,
          [newId(), imageId],
        );
      }

      it('is off by default', async () => {
        await createImage({ ageDays: 36_000 });
        const byDefault = await startUpkeep();
        try {
          expect((await round({ repair: true }, byDefault)).reported).toEqual([]);
        } finally {
          await byDefault.close();
        }
      });

      it('deletes what is old and linked to nothing, as its owner would', async () => {
        const old = await createImage({ ageDays: RETENTION_DAYS + 1 });
        const failed = await createImage({ ageDays: RETENTION_DAYS + 1, status: 'FAILED' });
        const others = [
          await createImage({ ageDays: RETENTION_DAYS - 1 }),
          await createImage({ ageDays: RETENTION_DAYS + 1, status: 'PENDING' }),
          await createImage({ ageDays: RETENTION_DAYS + 1, status: 'PROCESSING' }),
          await createImage({ ageDays: RETENTION_DAYS + 1, type: 'GENERATED' }),
          await createImage({ ageDays: RETENTION_DAYS + 1, type: 'GENERATED', status: 'FAILED' }),
        ];
        const linked = await createImage({ ageDays: RETENTION_DAYS + 1 });
        await link(linked.id);

        const found = await round();
        expect(found.reported.map(({ imageId }) => imageId)).toEqual([old.id, failed.id]);
        expect(await imageRow(old.id)).toBeDefined();
        expect(await round({ repair: true })).toMatchObject({ repaired: 2, left: 0 });
        for (const { id, folder } of [old, failed]) {
          expect(await imageRow(id)).toBeUndefined();
          expect(
            await app.database.query(
              `select 1 from file_removals where target = $1 and due_at > now() + interval '1 second'`,
              [folder],
            ),
          ).toHaveLength(1);
          await app.as(account).delete(`/api/v1/images/${id}`).expect(204);
        }
        for (const { id } of [...others, linked]) expect(await imageRow(id)).toBeDefined();
        await expectAllWell();
      });

      it('never deletes an image that is being linked, and never loses a link', async () => {
        const images: { id: string; user_id: string; storage_key: string }[] = [];
        for (let index = 0; index < 40; index += 1) {
          const { id, source } = await createImage({ ageDays: RETENTION_DAYS + 1 });
          images.push({ id, user_id: account.userId, storage_key: source });
        }
        const links = images.map(async ({ id }) => {
          await sleep(Math.random() * 30);
          return link(id).then(
            () => true,
            () => false,
          );
        });
        const retention = upkeep.get(ImageRetention);
        const deleted = new Set<string>();
        for (const image of images) {
          for (const id of await retention.delete([image])) deleted.add(id);
        }
        const isLinked = await Promise.all(links);
        for (const [index, { id }] of images.entries()) {
          expect([id, isLinked[index], deleted.has(id)]).toEqual([
            id,
            isLinked[index],
            !isLinked[index],
          ]);
        }
      });

      it('skips an image whose link is not committed yet', async () => {
        const { id, source } = await createImage({ ageDays: RETENTION_DAYS + 1 });
        const linking = new pg.Client({ connectionString: app.database.ownerUrl });
        await linking.connect();
        await linking.query('begin');
        await linking.query(
          `insert into image_links (id, image_id, course_id, created_at)
       values (gen_random_uuid(), $1, gen_random_uuid(), now())`,
          [id],
        );
        const image = { id, user_id: account.userId, storage_key: source };
        expect(await upkeep.get(ImageRetention).delete([image])).toEqual(new Set());
        await linking.query('commit');
        await linking.end();
        expect(await upkeep.get(ImageRetention).delete([image])).toEqual(new Set());
        expect(await imageRow(id)).toBeDefined();
      });

      it('forgets after a day what was deleted', async () => {
        await app.database.query('delete from deleted_images');
        await app.database.query(
          `insert into deleted_images (id, user_id, deleted_at)
       select gen_random_uuid(), $1, now() - make_interval(hours => hours) from unnest($2::int[]) as hours`,
          [account.userId, [1, 23, 25, 100]],
        );
        expect(await upkeep.get(ImageRetention).forgetDeleted()).toBe(2);
        expect(await app.database.query('select 1 from deleted_images')).toHaveLength(2);
      });
    });

    describe('rounds', () => {
      it('do each repair once when two run at once', async () => {
        const lost = await createImage();
        await storage.delete(lost.files.large);
        await createImage({ ageDays: RETENTION_DAYS + 1 });
        for (let index = 0; index < 10; index += 1) {
          await store(`images/${newId()}/1-x/${index}.jpg`);
        }
        const second = await startUpkeep({ IMAGE_RETENTION_DAYS: String(RETENTION_DAYS) });
        try {
          const rounds = await Promise.all([
            round({ repair: true }),
            round({ repair: true }, second),
          ]);
          const kinds = (kind: Finding['kind']) =>
            rounds.reduce((sum, { findings }) => sum + findings[kind], 0);
          expect(kinds('expired-upload')).toBe(1);
          expect(kinds('missing-file')).toBe(1);
          // Deleting a file that somebody else deletes at the same moment succeeds, too.
          expect(kinds('stray-file')).toBeGreaterThanOrEqual(10);
          expect(rounds.map(({ left }) => left)).toEqual([0, 0]);
        } finally {
          await second.close();
        }
        await expectAllWell();
      });

      it('end early when the process stops', async () => {
        const key = await store(`images/${newId()}/1-x/a.jpg`);
        const stopped = AbortSignal.abort(new Error('stopping'));
        await expect(round({ repair: true, signal: stopped })).rejects.toThrow('stopping');
        expect(await isStored(key)).toBe(true);
      });
    });

    describe('the nightly clean-up', () => {
      it('runs in the worker when its time has come', async () => {
        const worker = await app.startWorker({ LOG_LEVEL: 'info' });
        try {
          const timers = () =>
            app.database.query<{ last_run_at: Date | null }>(
              `select last_run_at from timers where name = 'nightly clean-up of images'`,
            );
          expect(await eventually(timers, (rows) => rows.length > 0)).toMatchObject([
            { last_run_at: null },
          ]);
          const key = await store(`images/${newId()}/1-x/a.jpg`);
          await app.database.query(`update timers set next_run_at = now()`);
          expect(
            await eventually(timers, ([row]) => row?.last_run_at instanceof Date, 20_000),
          ).toMatchObject([{ last_run_at: expect.any(Date) }]);
          expect(await isStored(key)).toBe(false);
          expect(JSON.parse(await worker.tells('cleaned up'))).toMatchObject({
            repaired: 1,
            findings: { 'stray-file': 1 },
          });
        } finally {
          await worker.stop();
          app.worker = undefined;
        }
      });
    });

    describe('npm run images:verify', () => {
      function spawnVerify(...flags: string[]): ProductProcess {
        const variables = { ...app.variables, MIGRATION_DATABASE_URL: '' };
        return ProductProcess.spawn('images-verify', variables, flags);
      }

      async function verify(...flags: string[]) {
        const child = spawnVerify(...flags);
        return { code: await child.ended(), output: child.output };
      }

      it('reports what it finds and changes nothing, repairs on request, and says when all is well', async () => {
        expect(await verify()).toMatchObject({
          code: 0,
          output: expect.stringContaining('All is well'),
        });
        const { id, files } = await createImage();
        await storage.delete(files.large);
        const stray = await store(`images/${newId()}/1-x/a.jpg`);

        const found = await verify();
        expect(found.code).toBe(1);
        expect(found.output).toContain(
          `missing-file  ${files.large} (image ${id}): would be made anew from the original\n`,
        );
        expect(found.output).toContain(`stray-file  ${stray}: would be removed\n`);
        expect([await isStored(stray), (await imageRow(id))?.status]).toEqual([true, 'COMPLETED']);

        const repaired = await verify('--repair');
        expect(repaired).toMatchObject({
          code: 0,
          output: expect.stringContaining('2 repaired, 0 left'),
        });
        expect([await isStored(stray), (await imageRow(id))?.status]).toEqual([false, 'PENDING']);
        expect(await verify()).toMatchObject({ code: 0 });
      });

      it('reports as lines of JSON, with checksums, and ends with 1 when something is left', async () => {
        const { id, files } = await createImage();
        await store(files.original, files.original.replace('original', 'lanigiro'));
        const { code, output } = await verify('--checksums', '--repair', '--json');
        expect(code).toBe(1);
        const lines = output.trim().split('\n');
        expect(lines.map((line) => JSON.parse(line))).toMatchObject([
          { finding: { kind: 'wrong-checksum', imageId: id, outcome: 'left' } },
          { summary: { images: 1, files: 4, left: 1, repaired: 0 } },
        ]);
      });

      it('ends with 2 when nobody reads its report, and repairs no more', async () => {
        for (let index = 0; index < 10; index += 1) await store(`images/${newId()}/1-x/a.jpg`);
        const child = spawnVerify('--repair');
        child.stopReading();
        expect([await child.ended(), child.output]).toEqual([2, expect.stringMatching(/^Stopped/)]);
        // The word that nobody reads comes a moment after the first line.
        expect((await round()).left).toBeGreaterThan(5);
      });
    });
  });
}
