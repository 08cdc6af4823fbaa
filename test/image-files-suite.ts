import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { FileUrlSigner } from '../src/storage/signed-url.js';
import { uploadPicture } from './image-requests.js';
import type { KeptFiles } from './kept-files.js';
import { makePicture } from './pictures.js';
import { statusOf } from './status-of.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let owner: Account;
let stranger: Account;
let picture: Buffer;

const upload = (file = picture, fields: Record<string, string> = {}, as = owner) =>
  uploadPicture(app, as, file, fields);

/** How the files of an image are served, whatever keeps them. Once in each test file. */
export function describeImageFiles(name: string, make: () => Promise<KeptFiles>): void {
  describe(`on ${name} storage`, () => {
    let kept: KeptFiles;

    beforeAll(async () => {
      kept = await make();
      app = await TestingApp.start({ variables: kept.variables });
      [owner, stranger] = await Promise.all([app.register(), app.register()]);
      picture = await makePicture({ width: 1200, height: 800 });
    });

    afterAll(async () => {
      await app.close();
      await kept.close();
    });

    describe('the file of an image', () => {
      it('comes in the size that was asked for, with a tag that saves sending it again', async () => {
        const { body } = await upload(await makePicture({ width: 3000, height: 2000 }));
        const file = `/api/v1/images/${body.id}/file`;
        const large = await app.as(owner).get(file).expect(200);
        expect(large.headers).toMatchObject({
          'content-type': 'image/webp',
          'content-length': String(body.variants.large.bytes),
          'cache-control': 'private, no-cache',
          'accept-ranges': 'bytes',
          'x-content-type-options': 'nosniff',
          'content-disposition': `inline; filename="${body.id}-large.webp"`,
          'last-modified': expect.stringMatching(/GMT$/),
        });
        expect((await sharp(large.body as Buffer).metadata()).width).toBe(2048);

        const etag = large.headers['etag'] ?? '';
        expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
        const cached = await app
          .as(owner)
          .get(file)
          .set('if-none-match', `W/"x", ${etag}`)
          .expect(304);
        expect(cached.headers['etag']).toBe(etag);
        const small = await app.as(owner).get(`${file}?size=thumbnail`).set('if-none-match', etag);
        expect(small.status).toBe(200);
        expect((await app.as(owner).get(`${file}?size=huge`).expect(400)).body.code).toBe(
          'malformed',
        );
      });

      it('comes in parts, and as headers alone', async () => {
        const { body } = await upload();
        const file = `/api/v1/images/${body.id}/file`;
        const whole = (await app.as(owner).get(file)).body as Buffer;
        const part = await app.as(owner).get(file).set('range', 'bytes=10-19').expect(206);
        expect(part.headers['content-range']).toBe(`bytes 10-19/${whole.length}`);
        expect(part.body).toEqual(whole.subarray(10, 20));
        const beyond = await app
          .as(owner)
          .get(file)
          .set('range', `bytes=${whole.length}-`)
          .expect(416);
        expect(beyond.headers['content-range']).toBe(`bytes */${whole.length}`);
        const head = await app.as(owner).head(file).expect(200);
        expect(head.headers['content-length']).toBe(String(whole.length));
      });

      it('is its original without metadata, for the owner alone', async () => {
        const upright = await sharp(await makePicture({ width: 60, height: 40 }))
          .withExif({ IFD0: { Copyright: 'someone' } })
          .withMetadata({ orientation: 6 })
          .toBuffer();
        const { body } = await upload(upright, { visibility: 'public' });
        const file = `/api/v1/images/${body.id}/file?size=original`;
        const original = await app.as(owner).get(file).expect(200);
        expect(original.headers).toMatchObject({
          'content-type': 'image/jpeg',
          'cache-control': 'private, no-cache',
        });
        const bytes = original.body as Buffer;
        expect(upright.includes('someone')).toBe(true);
        expect(bytes.includes('someone')).toBe(false);
        expect(await sharp(bytes).metadata()).toMatchObject({
          width: 60,
          height: 40,
          orientation: 6,
        });
        const pixels = (picture: Buffer) => sharp(picture).raw().toBuffer();
        expect(await pixels(bytes)).toEqual(await pixels(upright));
        await app.as(stranger).get(file).expect(404);
        await app.http.get(file).expect(404);
      });

      it('may be kept for ever behind a public link with its version', async () => {
        const { body } = await upload(picture, { visibility: 'public' });
        const link = new URL(body.variants.medium.url);
        expect(link.pathname).toBe(`/api/v1/images/${body.id}/file`);
        const answer = await fetch(link);
        await answer.arrayBuffer();
        expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
        for (const other of ['', '&v=7']) {
          const { headers } = await app.http
            .get(`${link.pathname}?size=medium${other}`)
            .expect(200);
          expect(headers['cache-control']).toBe('private, no-cache');
        }
        await app.as(owner).patch(`/api/v1/images/${body.id}`).send({ visibility: 'private' });
        expect(await statusOf(link.href)).toBe(404);
      });

      it('is AVIF for those who ask for it, when the operator wants that', async () => {
        await app.worker?.stop();
        await app.startWorker({ IMAGE_AVIF: 'true' });
        const { body } = await upload();
        await app.worker?.stop();
        await app.startWorker();
        const get = (accept: string) =>
          app.as(owner).get(`/api/v1/images/${body.id}/file?size=medium`).set('accept', accept);
        const avif = await get('image/avif,image/webp,*/*;q=0.8').expect(200);
        expect(avif.headers).toMatchObject({ 'content-type': 'image/avif' });
        expect(avif.headers['vary']).toMatch(/accept/i);
        expect(await sharp(avif.body as Buffer).metadata()).toMatchObject({
          format: 'heif',
          compression: 'av1',
          width: 1024,
        });
        for (const accept of ['*/*', 'image/webp', 'image/avif;q=0, */*']) {
          const answer = await get(accept).expect(200);
          expect(answer.headers['content-type']).toBe('image/webp');
          expect(answer.headers['vary']).toMatch(/accept/i);
        }
        expect(body.variants.medium.format).toBe('webp');
      });

      it('is 202 while the image is being made; for others there is nothing yet', async () => {
        await app.worker?.stop();
        const { body } = await app
          .as(owner)
          .post('/api/v1/images/upload?force=true')
          .field('visibility', 'public')
          .attach('image', picture, 'x');
        await app.http.get(`/api/v1/images/${body.id}/file`).expect(404);
        const answer = await app.as(owner).get(`/api/v1/images/${body.id}/file`).expect(202);
        expect(answer.headers['retry-after']).toBe('1');
        expect(answer.body.id).toBe(body.id);
        await app.startWorker();
      });

      it('is for anyone when the image is public, and else only for its owner', async () => {
        const open = await upload(picture, { visibility: 'public' });
        const closed = await upload();
        await app.http.get(`/api/v1/images/${open.body.id}/file`).expect(200);
        await app.as(stranger).get(`/api/v1/images/${open.body.id}/file`).expect(200);
        await app.http.get(`/api/v1/images/${closed.body.id}/file`).expect(404);
        await app.as(stranger).get(`/api/v1/images/${closed.body.id}/file`).expect(404);
      });

      it('is not to be had through a link that has expired', async () => {
        const { body } = await upload();
        const { pathname } = new URL(body.displayUrl);
        const key = pathname.replace('/api/v1/files/', '');
        const signer = app.app.get(FileUrlSigner);
        const now = Math.floor(Date.now() / 1_000);
        expect(await statusOf(signer.url(key, now + 60))).toBe(200);
        expect(await statusOf(signer.url(key, now - 1))).toBe(403);
        const expires = Number(new URL(body.displayUrl).searchParams.get('expires'));
        expect(expires - now).toBeGreaterThan(840);
        expect(expires - now).toBeLessThanOrEqual(901);
      });

      it('is not to be had through an altered link', async () => {
        const { body } = await upload();
        const link = new URL(body.displayUrl);
        for (const [name, value] of [
          ['expires', '9999999999'],
          ['signature', 'x'.repeat(43)],
        ] as const) {
          const altered = new URL(link);
          altered.searchParams.set(name, value);
          const answer = await fetch(altered);
          const { code } = (await answer.json()) as { code: string };
          expect([answer.status, code]).toEqual([403, 'invalid-signature']);
        }
        const other = link.href.replace('/medium-', '/large-');
        expect(other).not.toBe(link.href);
        expect(await statusOf(other)).toBe(403);
      });
    });
  });
}
