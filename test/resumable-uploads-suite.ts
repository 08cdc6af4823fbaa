import { createHash } from 'node:crypto';
import { type ClientRequest, type IncomingHttpHeaders, request } from 'node:http';
import { basename } from 'node:path';
import { json, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RequestContext } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Upload, type UploadOptions } from 'tus-js-client';
import { newId } from '../src/core/ids.js';
import { ResumableCompletion } from '../src/images/resumable/resumable-completion.js';
import { FileRemovals } from '../src/storage/file-removals.js';
import { eventually } from './eventually.js';
import { holdingAccount } from './image-requests.js';
import type { KeptFiles } from './kept-files.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

const UPLOADS = '/api/v1/images/uploads';
const PART = 'application/offset+octet-stream';
const ORIGIN = 'https://app.example.com';
const MEBIBYTE = 1024 * 1024;

let kept: KeptFiles;
let app: TestingApp;
let owner: Account;
let picture: Buffer;
/** So large that some of it is stored before its request ends, wherever that is. */
let large: Buffer;
const running: ProductProcess[] = [];

interface Answer {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
}

interface Options {
  as?: Account;
  headers?: Record<string, string | number>;
  body?: Buffer;
  /** Another process than the API of the test itself. */
  api?: string;
}

/** Begins a request and sends nothing of its body. */
function open(method: string, path: string, { as = owner, headers = {}, api = app.url }: Options) {
  return request(new URL(path, api), {
    method,
    headers: { authorization: `Bearer ${as.token}`, 'tus-resumable': '1.0.0', ...headers },
  });
}

function answerTo(call: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    call.once('error', reject);
    call.once('response', (response) => {
      const isJson = /json/.test(response.headers['content-type'] ?? '') && call.method !== 'HEAD';
      (isJson ? json(response) : text(response).then(() => ({})))
        .then((body) => {
          const { statusCode: status, headers } = response;
          resolve({ status, headers, body: body as Answer['body'] });
        })
        .catch(reject);
    });
  });
}

function send(method: string, path: string, options: Options = {}): Promise<Answer> {
  const call = open(method, path, options);
  const answer = answerTo(call);
  call.end(options.body);
  return answer;
}

/** Announces an upload. @returns its path */
async function create(options: Options & { bytes?: number } = {}): Promise<string> {
  const { bytes = picture.length, headers = {} } = options;
  const answer = await send('POST', UPLOADS, {
    ...options,
    headers: { 'upload-length': bytes, ...headers },
  });
  expect(answer).toMatchObject({ status: 201, body: { bytes, offset: 0, imageId: null } });
  const path = String(answer.headers['location']);
  expect(path).toBe(`${UPLOADS}/${String(answer.body['id'])}`);
  return path;
}

function partHeaders(offset: number, length?: number): Record<string, string | number> {
  return {
    'content-type': PART,
    'upload-offset': offset,
    ...(length === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': length }),
  };
}

function sendPart(path: string, offset: number, body: Buffer, options: Options = {}) {
  const headers = { ...partHeaders(offset, body.length), ...options.headers };
  return send('PATCH', path, { ...options, headers, body });
}

/** What is written down for removal of the files of an image. */
async function removalsOf(imageId: string): Promise<string[]> {
  const rows = await app.database.query<{ target: string }>(
    'select target from file_removals where target like $1',
    [`%-${imageId}/%`],
  );
  return rows.map(({ target }) => target);
}

/** The offset that HEAD tells. */
async function offsetOf(path: string, options: Options = {}): Promise<number> {
  const { status, headers } = await send('HEAD', path, options);
  expect(status).toBe(200);
  return Number(headers['upload-offset']);
}

interface BegunPart {
  call: ClientRequest;
  answer: Promise<Answer>;
  /** How many bytes are stored, at the least and at the most: to the byte where none are held. */
  atLeast: number;
  atMost: number;
}

/** Sends the first bytes of the large picture, and no more, and waits until so many are stored. */
async function beginPart(path: string, atLeast: number, api = app.url): Promise<BegunPart> {
  const atMost = kept.heldBytes + atLeast;
  const call = open('PATCH', path, { headers: partHeaders(0, large.length), api });
  const answer = answerTo(call);
  // It may be broken off.
  answer.catch(() => undefined);
  call.write(large.subarray(0, atMost));
  const part = { call, answer, atLeast, atMost };
  expectBegun(
    await eventually(
      () => offsetOf(path),
      (offset) => offset >= atLeast,
    ),
    part,
  );
  return part;
}

function expectBegun(offset: number, { atLeast, atMost }: BegunPart): void {
  expect(offset).toBeGreaterThanOrEqual(atLeast);
  expect(offset).toBeLessThanOrEqual(atMost);
}

/** Uploads with the client that apps use. @returns the headers of its last answer */
function uploadWithClient(file: Buffer, options: UploadOptions): Promise<Map<string, string>> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(file, {
      endpoint: `${app.url}${UPLOADS}`,
      headers: { authorization: `Bearer ${owner.token}` },
      onError: reject,
      onSuccess: ({ lastResponse }) => {
        const names = ['upload-offset', 'atelier-image-id', 'content-location'];
        resolve(new Map(names.map((name) => [name, lastResponse.getHeader(name) ?? ''])));
      },
      ...options,
    });
    upload.start();
  });
}

async function imagesOf({ userId }: Account) {
  return app.database.query<{ id: string; checksum: string; title: string | null }>(
    'select id, checksum, title from images where user_id = $1 order by id',
    [userId],
  );
}

const idOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const bytesOf = (path: string): Promise<Buffer> => kept.bytesOf(app, idOf(path));
const unfinished = (): Promise<string[]> => kept.unfinished(app);

async function hasBytes(path: string): Promise<boolean> {
  return (await unfinished()).includes(idOf(path));
}

function checksum(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function sweep(): Promise<number> {
  const em = app.app.get(EntityManager);
  return RequestContext.create(em, () => app.app.get(ResumableCompletion).sweep());
}

async function startApi(variables: Record<string, string> = {}) {
  const { api: process, url } = await ProductProcess.startApi({ ...app.variables, ...variables });
  running.push(process);
  return { process, api: url };
}

function metadata(fields: Record<string, string>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');
}

/** What resumable uploads do, wherever their bytes are. Once in each test file. */
export function describeResumableUploads(name: string, make: () => Promise<KeptFiles>): void {
  describe(`on ${name} storage`, () => {
    beforeAll(async () => {
      kept = await make();
      app = await TestingApp.start({
        worker: false,
        variables: {
          ...kept.variables,
          CORS_ORIGINS: ORIGIN,
          STORAGE_QUOTA_BYTES: String(64 * MEBIBYTE),
        },
      });
      picture = await makePicture({ width: 2400, height: 1600 });
      // Noise does not compress.
      large = await makePicture({ width: 2400, height: 1600, format: 'png' });
      expect(large.length).toBeGreaterThan(kept.heldBytes + MEBIBYTE);
    });

    afterEach(async () => {
      await Promise.all(running.splice(0).map((each) => each.kill()));
    });

    afterAll(async () => {
      await app.close();
      await kept.close();
    });

    describe('a resumable upload', () => {
      beforeAll(async () => {
        owner = await app.register();
      });

      it('becomes the image that a form with the same bytes has become', async () => {
        const form = await app
          .as(owner)
          .post('/api/v1/images/upload')
          .attach('image', picture, 'x');
        const headers = await uploadWithClient(picture, { chunkSize: 300_000 });
        expect(headers.get('atelier-image-id')).toBe(form.body.id);
        expect(headers.get('content-location')).toBe(`/api/v1/images/${form.body.id}`);
        expect(headers.get('upload-offset')).toBe(String(picture.length));
        expect(await imagesOf(owner)).toHaveLength(1);
        expect(await unfinished()).toEqual([]);
      });

      it('takes the fields of a form, ignores the names that clients add, and can be forced', async () => {
        const headers = await uploadWithClient(picture, {
          metadata: {
            title: ' Über allen Gipfeln ',
            visibility: 'public',
            force: 'true',
            filename: '../../etc/passwd',
            filetype: 'text/html',
          },
          uploadDataDuringCreation: true,
          chunkSize: picture.length,
        });
        const { body } = await app.as(owner).get(headers.get('content-location') ?? '');
        expect(body).toMatchObject({ title: 'Über allen Gipfeln', visibility: 'public' });
        const { body: known } = await app.as(owner).get(`/api/v1/images/${body.id}/metadata`);
        expect(known.checksum).toBe(checksum(picture));
        expect(await imagesOf(owner)).toHaveLength(2);
      });

      it('tells how it stands, before and after it became an image', async () => {
        const metadataHeader = metadata({ title: 'x', filename: 'y' });
        const path = await create({ headers: { 'upload-metadata': metadataHeader } });
        const first = await sendPart(path, 0, picture.subarray(0, 1_000));
        expect(first).toMatchObject({
          status: 204,
          headers: { 'upload-offset': '1000', 'tus-resumable': '1.0.0' },
        });
        const expires = Date.parse(String(first.headers['upload-expires']));
        expect(expires - Date.now()).toBeGreaterThan(23 * 3_600_000);
        expect(await send('HEAD', path)).toMatchObject({
          status: 200,
          headers: {
            'upload-offset': '1000',
            'upload-length': String(picture.length),
            'upload-metadata': metadataHeader,
            'cache-control': 'no-store',
          },
        });
        const begun = await app.as(owner).get(path).expect(200);
        expect(begun.body).toMatchObject({ bytes: picture.length, offset: 1_000, imageId: null });

        const last = await sendPart(path, 1_000, picture.subarray(1_000));
        expect(last.status).toBe(204);
        const done = await app.as(owner).get(path).expect(200);
        expect(done.body).toEqual({
          id: idOf(path),
          bytes: picture.length,
          offset: picture.length,
          imageId: last.headers['atelier-image-id'],
          error: null,
          expiresAt: begun.body.expiresAt,
        });
        expect(await offsetOf(path)).toBe(picture.length);
        expect(await sendPart(path, picture.length, Buffer.alloc(0))).toMatchObject({
          status: 204,
        });
        expect(await hasBytes(path)).toBe(false);
      });

      it('can be sent by clients that cannot say PATCH, and that name a type for no body', async () => {
        const path = await create({
          headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': 0 },
        });
        const headers = { ...partHeaders(0), 'x-http-method-override': 'PATCH' };
        const answer = await send('POST', path, { headers, body: picture });
        expect(answer).toMatchObject({
          status: 204,
          headers: { 'upload-offset': String(picture.length) },
        });
        const other = await create();
        const deletion = { headers: { 'x-http-method-override': 'DELETE', 'content-length': 0 } };
        expect((await send('POST', other, deletion)).status).toBe(204);
        expect((await send('POST', path, { headers: { 'content-length': 0 } })).status).toBe(422);
      });

      it('tells how it stands to clients that name the type of its parts', async () => {
        const path = await create();
        const headers = { 'content-type': PART };
        for (const method of ['HEAD', 'GET']) {
          expect([method, (await send(method, path, { headers })).status]).toEqual([method, 200]);
        }
        expect((await send('DELETE', path, { headers })).status).toBe(204);
      });
    });

    describe('a resumable upload whose connection breaks', () => {
      beforeAll(async () => {
        owner = await app.register();
      });

      it('goes on from where it was', async () => {
        const path = await create({ bytes: large.length });
        const { call, atLeast } = await beginPart(path, 200_000);
        call.destroy();
        let firstOffset = -1;
        const headers = await uploadWithClient(large, {
          uploadUrl: `${app.url}${path}`,
          retryDelays: [100, 1_000, 3_000],
          onProgress: (sent) => {
            if (firstOffset < 0) firstOffset = sent;
          },
        });
        expect(firstOffset).toBeGreaterThanOrEqual(atLeast);
        expect(headers.get('upload-offset')).toBe(String(large.length));
        expect(await imagesOf(owner)).toMatchObject([{ checksum: checksum(large) }]);
      });

      it('goes on at another process when its own was killed', async () => {
        const forced = { 'upload-metadata': metadata({ force: 'true' }) };
        const path = await create({ bytes: large.length, headers: forced });
        const { process, api } = await startApi();
        const part = await beginPart(path, 300_000, api);
        await process.kill();

        const next = await startApi();
        expectBegun(await offsetOf(path, { api: next.api }), part);
        await uploadWithClient(large, {
          uploadUrl: `${next.api}${path}`,
          retryDelays: [500, 2_000, 4_000],
        });
        const images = await imagesOf(owner);
        expect(images.map((image) => image.checksum)).toEqual([checksum(large), checksum(large)]);
      });

      it('is answered with what has come when the process is asked to stop', async () => {
        const path = await create({ bytes: large.length });
        const { process, api } = await startApi();
        const part = await beginPart(path, 100_000, api);
        process.signal('SIGTERM');
        const { status, headers } = await part.answer;
        expect([status, headers['connection']]).toEqual([204, 'close']);
        expectBegun(Number(headers['upload-offset']), part);
        expect(await offsetOf(path)).toBe(Number(headers['upload-offset']));
        part.call.destroy();
        expect(await process.ended()).toBe(0);
      });

      it('is answered with what has come when it stands still, or takes too long', async () => {
        const { api } = await startApi({
          UPLOAD_IDLE_TIMEOUT_MS: '3000',
          UPLOAD_TIMEOUT_MS: '6000',
        });
        const path = await create();
        const still = open('PATCH', path, { headers: partHeaders(0, picture.length), api });
        const stillAnswer = answerTo(still);
        still.write(picture.subarray(0, 5_000));
        expect(await stillAnswer).toMatchObject({
          status: 204,
          headers: { 'upload-offset': '5000' },
        });
        still.destroy();
        expect(await trickle(api, path, 5_000, { bytes: 2_500, everyMs: 250 })).toBeGreaterThan(
          2 * 16 * 1024,
        );
      });

      it('is answered with what has come when that is a byte now and then', async () => {
        const { api } = await startApi({ UPLOAD_IDLE_TIMEOUT_MS: '500' });
        expect(await trickle(api, await create(), 0, { bytes: 1, everyMs: 80 })).toBeLessThan(100);
      });

      /** @returns how many bytes arrived until the answer came */
      async function trickle(
        api: string,
        path: string,
        from: number,
        { bytes, everyMs }: { bytes: number; everyMs: number },
      ): Promise<number> {
        const slow = open('PATCH', path, { headers: partHeaders(from, 100_000), api });
        const answer = answerTo(slow);
        const dripping = setInterval(() => slow.write('x'.repeat(bytes)), everyMs);
        const { status, headers } = await answer;
        clearInterval(dripping);
        slow.destroy();
        expect(status).toBe(204);
        const offset = Number(headers['upload-offset']);
        expect(offset).toBeGreaterThan(from);
        expect(await offsetOf(path)).toBe(offset);
        return offset - from;
      }
    });

    describe('two requests for one upload', () => {
      let other: ProductProcess;
      let api: string;

      beforeAll(async () => {
        owner = await app.register();
        ({ api: other, url: api } = await ProductProcess.startApi(app.variables));
      });

      afterAll(() => other.kill());

      it('do not both write: the second is told to wait while bytes come', async () => {
        const path = await create();
        const bytes = 120_000;
        const first = open('PATCH', path, { headers: partHeaders(0, bytes), api });
        const firstAnswer = answerTo(first);
        let sent = 0;
        const trickle = setInterval(() => {
          if (sent < bytes - 1_000) first.write(picture.subarray(sent, (sent += 1_000)));
        }, 100);
        // Longer than a lease holds that nobody renews.
        await sleep(5_000);
        const second = await sendPart(path, await offsetOf(path), picture.subarray(0, 10));
        expect(second).toMatchObject({ status: 423, body: { code: 'upload-locked' } });
        expect(second.headers['retry-after']).toBeDefined();
        expect((await send('DELETE', path)).status).toBe(423);
        clearInterval(trickle);
        first.end(picture.subarray(sent, bytes));
        expect((await firstAnswer).status).toBe(204);
        expect((await bytesOf(path)).equals(picture.subarray(0, bytes))).toBe(true);
      });

      it('change places when the connection of the first went dead without a word', async () => {
        const path = await create({ bytes: large.length });
        const dead = await beginPart(path, 50_000, api);
        const from = await offsetOf(path);
        const startedAt = performance.now();
        const won = await eventually(
          () => sendPart(path, from, large.subarray(from, from + 20_000)),
          ({ status }) => status !== 423,
        );
        expect(won).toMatchObject({
          status: 204,
          headers: { 'upload-offset': String(from + 20_000) },
        });
        expect(performance.now() - startedAt).toBeLessThan(12_000);
        // It comes back to life, and may add nothing any more.
        dead.call.write(Buffer.alloc(10_000));
        expect(await dead.answer).toMatchObject({ status: 423 });
        dead.call.destroy();
        expect((await bytesOf(path)).equals(large.subarray(0, from + 20_000))).toBe(true);
      });

      it('make one image when both bring the last part', async () => {
        const account = await app.register();
        const options = { as: account };
        const path = await create({
          ...options,
          headers: { 'upload-metadata': metadata({ force: 'true' }) },
        });
        await sendPart(path, 0, picture.subarray(0, 1_000), options);
        const answers = await Promise.all(
          [app.url, api, app.url, api].map((each) =>
            sendPart(path, 1_000, picture.subarray(1_000), { ...options, api: each }),
          ),
        );
        const statuses = answers.map(({ status }) => status);
        expect(statuses).toContain(204);
        expect(statuses.every((status) => [204, 409, 423].includes(status ?? 0))).toBe(true);
        expect(await imagesOf(account)).toHaveLength(1);
      });
    });

    describe('an upload that was whole when its process died', () => {
      let path: string;

      beforeAll(async () => {
        owner = await app.register();
      });

      /** As a kill -9 after the last write leaves it. */
      async function leaveWhole(bytes = picture, options: Options = {}): Promise<string> {
        const left = await create({ ...options, bytes: bytes.length });
        await sendPart(left, 0, bytes.subarray(0, 1_000));
        await kept.addBytes(app, idOf(left), bytes.subarray(1_000));
        return left;
      }

      it('becomes an image when its client asks for it', async () => {
        path = await leaveWhole();
        const { headers } = await send('HEAD', path);
        expect(headers['upload-offset']).toBe(String(picture.length));
        expect(await imagesOf(owner)).toMatchObject([{ id: headers['atelier-image-id'] }]);
        expect(await hasBytes(path)).toBe(false);
      });

      it('becomes an image by the sweep, once, however often that runs', async () => {
        const forced = { headers: { 'upload-metadata': metadata({ force: 'true' }) } };
        path = await leaveWhole(picture, forced);
        await Promise.all([sweep(), sweep()]);
        await sweep();
        expect(await imagesOf(owner)).toHaveLength(2);
        expect(await hasBytes(path)).toBe(false);
      });

      it('makes no second image when its process died after the first', async () => {
        await app.database.query('update resumable_uploads set image_id = null where id = $1', [
          idOf(path),
        ]);
        await kept.addBytes(app, idOf(path), picture);
        expect(await sweep()).toBeGreaterThan(0);
        expect(await imagesOf(owner)).toHaveLength(2);
        const { headers } = await send('HEAD', path);
        expect((await imagesOf(owner)).at(-1)).toMatchObject({ id: headers['atelier-image-id'] });
      });

      describe('and whose image was deleted meanwhile', () => {
        /** As a kill -9 between the commit of the image and the end of the upload leaves it. */
        async function leaveDeleted(): Promise<{ path: string; imageId: string }> {
          const left = await create({
            headers: { 'upload-metadata': metadata({ force: 'true' }) },
          });
          const { headers } = await sendPart(left, 0, picture);
          const imageId = String(headers['atelier-image-id']);
          expect(imageId).toBe(idOf(left));
          await app.as(owner).delete(`/api/v1/images/${imageId}`).expect(204);
          await app.database.query('update resumable_uploads set image_id = null where id = $1', [
            imageId,
          ]);
          await kept.addBytes(app, idOf(left), picture);
          return { path: left, imageId };
        }

        /** What the client of an upload hears. */
        async function answersOf(uploadPath: string) {
          const head = await send('HEAD', uploadPath);
          const shown = await send('GET', uploadPath);
          const { offset, error } = shown.body;
          return {
            head: [head.status, head.headers['upload-offset'], head.headers['atelier-image-id']],
            shown: [shown.status, offset, shown.body['imageId'], error],
          };
        }

        it.each([
          ['the sweep', () => sweep()],
          ['its client', (uploadPath: string) => send('HEAD', uploadPath)],
        ])(
          'brings no image back by %s, and ends as one that was settled before',
          async (_, end) => {
            const before = await imagesOf(owner);
            const left = await leaveDeleted();
            await end(left.path);
            const bytes = picture.length;
            expect(await answersOf(left.path)).toEqual({
              head: [200, String(bytes), left.imageId],
              shown: [200, bytes, left.imageId, null],
            });
            expect(await imagesOf(owner)).toEqual(before);
            expect(await hasBytes(left.path)).toBe(false);
            await app.as(owner).get(`/api/v1/images/${left.imageId}`).expect(404);
            await app.as(owner).delete(`/api/v1/images/${left.imageId}`).expect(204);
            const keys = await removalsOf(left.imageId);
            // The folder of the image that was deleted, and no file of the one that did not come back.
            expect(keys).toEqual([expect.stringMatching(/\/$/)]);
          },
        );
      });

      it('keeps the file of its image when one of a killed attempt is removed', async () => {
        const left = await leaveWhole(await makePicture());
        const { api, process } = await startApi();
        await holdingAccount(app, owner, async () => {
          const asking = send('HEAD', left, { api }).catch(() => undefined);
          await eventually(
            () => kept.filesOf(app, owner, idOf(left)),
            (files) => files.length === 1,
          );
          await process.kill();
          await asking;
        });
        const [abandoned] = await kept.filesOf(app, owner, idOf(left));
        await eventually(
          () => send('HEAD', left),
          ({ status }) => status === 200,
        );
        expect(await kept.filesOf(app, owner, idOf(left))).toHaveLength(2);
        expect(await removalsOf(idOf(left))).toEqual([expect.stringContaining(abandoned!)]);

        await app.database.query('update file_removals set due_at = now() where target like $1', [
          `%${idOf(left)}/%`,
        ]);
        const em = app.app.get(EntityManager);
        await RequestContext.create(em, () => app.app.get(FileRemovals).removeDue());
        const [image] = await app.database.query<{ storage_key: string }>(
          'select storage_key from images where id = $1',
          [idOf(left)],
        );
        const files = await kept.filesOf(app, owner, idOf(left));
        expect(files).toEqual([basename(image!.storage_key)]);
      });

      it('becomes an image by a worker that starts', async () => {
        path = await leaveWhole(await makePicture());
        running.push(await ProductProcess.start('worker', app.variables));
        const { body } = await eventually(
          () => app.as(owner).get(path),
          ({ body: upload }) => upload.imageId !== null,
        );
        const image = await app.as(owner).get(`/api/v1/images/${body.imageId}`).expect(200);
        expect(image.body.metadata).toMatchObject({ width: 640, height: 480 });
      });

      it('is refused by the sweep as it would have been by the request', async () => {
        path = await leaveWhole(Buffer.alloc(5_000, '<html>'));
        await sweep();
        expect((await app.as(owner).get(path)).body.error.code).toBe('unsupported-type');
        expect(await hasBytes(path)).toBe(false);
      });
    });

    describe('a resumable upload is refused', () => {
      beforeAll(async () => {
        owner = await app.register();
      });

      it.each([
        ['too large', { 'upload-length': 20 * MEBIBYTE + 1 }, 413, 'file-too-large'],
        ['empty', { 'upload-length': 0 }, 422, 'empty-file'],
        ['of no length', {}, 422, 'validation-failed'],
        ['of a strange length', { 'upload-length': '1e3' }, 422, 'validation-failed'],
        ['of a length yet to come', { 'upload-defer-length': 1 }, 422, 'validation-failed'],
        [
          'in several parts',
          { 'upload-length': 9, 'upload-concat': 'partial' },
          422,
          'validation-failed',
        ],
        [
          'of another protocol',
          { 'upload-length': 9, 'tus-resumable': '0.2.2' },
          412,
          'tus-version',
        ],
      ])('when it is %s', async (_, headers, status, code) => {
        const answer = await send('POST', UPLOADS, { headers });
        expect(answer).toMatchObject({ status, body: { code } });
        expect(answer.headers).toMatchObject({
          'tus-resumable': '1.0.0',
          'content-type': expect.stringContaining('application/problem+json'),
          'x-request-id': expect.any(String),
        });
      });

      it.each([
        ['an unknown key', metadata({ titel: 'x' })],
        ['a hostile key', metadata({ __proto_: 'x', constructor: 'x' })],
        ['__proto__', '__proto__ eA=='],
        ['too long a title', metadata({ title: 'x'.repeat(201) })],
        ['a wrong visibility', metadata({ visibility: 'all' })],
        ['text that is not base64', 'title x!'],
        ['a key twice', 'title eA==,title eA=='],
        ['no key', ','],
      ])('when its metadata have %s', async (_, header) => {
        const headers = { 'upload-length': 9, 'upload-metadata': header };
        expect((await send('POST', UPLOADS, { headers })).status).toBe(422);
      });

      it('when it is not from someone who signed in', async () => {
        const stranger = { ...owner, token: 'none' };
        const headers = { 'upload-length': 9 };
        const answer = await send('POST', UPLOADS, { as: stranger, headers });
        expect(answer).toMatchObject({ status: 401, headers: { 'tus-resumable': '1.0.0' } });
      });

      it('when it is someone else’s, as if there were none', async () => {
        const path = await create();
        const options = { as: await app.register() };
        expect((await send('HEAD', path, options)).status).toBe(404);
        expect((await send('GET', path, options)).status).toBe(404);
        expect((await sendPart(path, 0, picture, options)).status).toBe(404);
        expect((await send('DELETE', path, options)).status).toBe(404);
        expect((await send('HEAD', `${UPLOADS}/${newId()}`)).status).toBe(404);
        expect(await offsetOf(path)).toBe(0);
      });

      it('when the file is no picture, and again whenever its client asks', async () => {
        const html = Buffer.alloc(5_000, '<html>');
        const path = await create({ bytes: html.length });
        const refusal = { status: 415, body: { code: 'unsupported-type' } };
        expect(await sendPart(path, 0, html)).toMatchObject(refusal);
        expect((await send('HEAD', path)).status).toBe(415);
        expect(await sendPart(path, 0, html)).toMatchObject(refusal);
        const { body } = await app.as(owner).get(path).expect(200);
        expect(body).toMatchObject({ imageId: null, error: { code: 'unsupported-type' } });
        expect(await hasBytes(path)).toBe(false);
      });

      it('when the picture is cut off', async () => {
        const half = picture.subarray(0, 100_000);
        const path = await create({ bytes: half.length });
        expect(await sendPart(path, 0, half)).toMatchObject({
          status: 422,
          body: { code: 'truncated' },
        });
        expect(await hasBytes(path)).toBe(false);
        expect(await imagesOf(owner)).toEqual([]);
      });

      it('in the request that creates it, leaving nothing behind', async () => {
        const uploads = () =>
          app.database.query('select id from resumable_uploads where user_id = $1', [owner.userId]);
        const before = [await unfinished(), await uploads()];
        const headers = { 'upload-length': 500, ...partHeaders(0, 500) };
        const answer = await send('POST', UPLOADS, { headers, body: Buffer.alloc(500) });
        expect(answer).toMatchObject({ status: 415, body: { code: 'unsupported-type' } });
        expect(answer.headers['location']).toBeUndefined();
        expect([await unfinished(), await uploads()]).toEqual(before);
      });

      it('in a request that creates it and breaks off, because nobody has heard of it', async () => {
        const before = (await unfinished()).length;
        const headers = { 'upload-length': large.length, ...partHeaders(0, large.length) };
        const call = open('POST', UPLOADS, { headers });
        call.on('error', () => undefined);
        call.write(large.subarray(0, kept.heldBytes + 100_000));
        const count = async (): Promise<number> => (await unfinished()).length;
        expect(await eventually(count, (now) => now > before)).toBe(before + 1);
        call.destroy();
        expect(await eventually(count, (now) => now === before)).toBe(before);
      });

      it('for now when the account has become full, and is taken once there is room', async () => {
        const as = await app.register();
        const small = await makePicture();
        await app.as(as).post('/api/v1/images/upload').attach('image', small, 'x').expect(202);
        const path = await create({ as });
        const setStored = (bytes: number) =>
          app.database.query('update images set stored_bytes = $2 where user_id = $1', [
            as.userId,
            bytes,
          ]);
        await setStored(64 * MEBIBYTE);
        expect(await sendPart(path, 0, picture, { as })).toMatchObject({
          status: 507,
          body: { code: 'quota-exceeded' },
        });
        await sweep();
        expect((await send('HEAD', path, { as })).status).toBe(507);
        await setStored(1);
        expect(await send('HEAD', path, { as })).toMatchObject({
          status: 200,
          headers: { 'atelier-image-id': expect.any(String) },
        });
      });

      it('when a part does not begin where the last one ended', async () => {
        const path = await create();
        await sendPart(path, 0, picture.subarray(0, 500));
        for (const offset of [0, 499, 501]) {
          expect(await sendPart(path, offset, picture.subarray(offset, 900))).toMatchObject({
            status: 409,
            headers: { 'upload-offset': '500' },
            body: { code: 'upload-offset-mismatch' },
          });
        }
        expect(await offsetOf(path)).toBe(500);
      });

      it('when there is more of it than was announced, and nothing of that part is kept', async () => {
        const path = await create();
        await sendPart(path, 0, picture.subarray(0, 500));
        const tooMuch = Buffer.concat([picture.subarray(500), Buffer.from('!')]);
        const refusal = { status: 413, body: { code: 'payload-too-large' } };
        expect(await sendPart(path, 500, tooMuch)).toMatchObject(refusal);
        expect(await offsetOf(path)).toBe(500);
        const chunked = open('PATCH', path, { headers: partHeaders(500) });
        const answer = answerTo(chunked);
        for (let at = 0; at < tooMuch.length; at += 50_000) {
          chunked.write(tooMuch.subarray(at, at + 50_000));
        }
        chunked.end();
        expect(await answer).toMatchObject(refusal);
        expect(await offsetOf(path)).toBe(500);
        expect((await bytesOf(path)).equals(picture.subarray(0, 500))).toBe(true);
      });

      it('when the body is of another type; and no other route takes this one', async () => {
        const path = await create();
        const body = Buffer.from('{}');
        for (const type of ['application/json', 'multipart/form-data; boundary=x', 'text/plain']) {
          const headers = { 'content-type': type };
          expect((await sendPart(path, 0, body, { headers })).status).toBe(415);
        }
        const headers = partHeaders(0, body.length);
        expect((await send('POST', '/api/v1/auth/login', { headers, body })).status).toBe(415);
        expect((await send('POST', '/api/v1/images/upload', { headers, body })).status).toBe(415);
      });

      it('when it would be too much for the quota, with all that was announced', async () => {
        const as = await app.register();
        for (let each = 0; each < 3; each += 1) await create({ as, bytes: 20 * MEBIBYTE });
        const headers = { 'upload-length': 20 * MEBIBYTE };
        const answer = await send('POST', UPLOADS, { as, headers });
        expect(answer).toMatchObject({ status: 507, body: { code: 'quota-exceeded' } });
      });

      it('as a form is, for what was announced, which then fits', async () => {
        const as = await app.register();
        const sizes = [20, 20, 20].map((each) => each * MEBIBYTE);
        const rest = 64 * MEBIBYTE - 60 * MEBIBYTE;
        for (const bytes of [...sizes, rest - picture.length]) await create({ as, bytes });
        const path = await create({ as });
        const form = app
          .as(as)
          .post('/api/v1/images/upload')
          .attach('image', await makePicture(), 'x');
        expect((await form).body).toMatchObject({ code: 'quota-exceeded' });
        expect((await sendPart(path, 0, picture, { as })).status).toBe(204);
      });

      it('when there are a hundred unfinished ones', async () => {
        const as = await app.register();
        const headers = { 'upload-length': 9 };
        const statuses: unknown[] = [];
        // In turns, as they wait for each other: the hundredth comes together with some more.
        for (let turn = 0; turn < 6; turn += 1) {
          const answers = await Promise.all(
            Array.from({ length: 17 }, () => send('POST', UPLOADS, { as, headers })),
          );
          statuses.push(...answers.map(({ status }) => status));
        }
        expect(statuses.filter((status) => status === 201)).toHaveLength(100);
        expect(statuses.filter((status) => status === 429)).toHaveLength(2);
      });
    });

    describe('a resumable upload that is begun twice under one key', () => {
      const begin = (key: string, headers: Options['headers'] = {}, body?: Buffer) =>
        send('POST', UPLOADS, {
          headers: { 'idempotency-key': key, 'upload-length': picture.length, ...headers },
          ...(body && { body }),
        });

      it('is one upload, told as far as it has come', async () => {
        const first = await begin('twice');
        await sendPart(String(first.headers['location']), 0, picture.subarray(0, 500));
        const second = await begin('twice');
        expect(second).toMatchObject({
          status: 201,
          headers: { 'idempotency-replayed': 'true', 'upload-offset': '500' },
          body: { id: first.body['id'], offset: 500 },
        });
        expect(first.headers['idempotency-replayed']).toBeUndefined();
        expect(second.headers['location']).toBe(first.headers['location']);
      });

      it('is another only when the key is, and refused with other content', async () => {
        const [one, other] = [await begin('one'), await begin('other')];
        expect(other.body['id']).not.toBe(one.body['id']);
        expect(await begin('one', { 'upload-length': 9 })).toMatchObject({
          status: 422,
          body: { code: 'idempotency-mismatch' },
        });
        const together = await Promise.all([begin('together'), begin('together')]);
        const ids = new Set(
          together.filter(({ status }) => status === 201).map(({ body }) => body['id']),
        );
        expect(ids.size).toBe(1);
      });

      it('can be begun again when its first part was refused', async () => {
        const noise = Buffer.alloc(9, 'x');
        const headers = { 'upload-length': 9, ...partHeaders(0, 9) };
        for (const _ of ['first', 'again']) {
          expect(await begin('refused', headers, noise)).toMatchObject({ status: 415 });
        }
      });
    });

    describe('a resumable upload that nobody wants any more', () => {
      beforeAll(async () => {
        owner = await app.register();
      });

      it('goes with its bytes when it is deleted', async () => {
        const path = await create();
        await sendPart(path, 0, picture.subarray(0, 500));
        expect((await send('DELETE', path)).status).toBe(204);
        expect(await hasBytes(path)).toBe(false);
        expect((await send('HEAD', path)).status).toBe(404);
        expect((await send('DELETE', path)).status).toBe(404);
      });

      it('leaves its image when it is deleted', async () => {
        const path = await create();
        await sendPart(path, 0, picture);
        expect((await send('DELETE', path)).status).toBe(204);
        expect(await imagesOf(owner)).toHaveLength(1);
      });

      it('goes when it has expired, and so do bytes that belong to none', async () => {
        const [expired, open_] = [await create(), await create()];
        await sendPart(expired, 0, picture.subarray(0, 500));
        await sendPart(open_, 0, picture.subarray(0, 500));
        await app.database.query(
          `update resumable_uploads set expires_at = now() - interval '1 second' where id = $1`,
          [idOf(expired)],
        );
        const orphan = newId();
        await kept.addBytes(app, orphan, Buffer.from('x'));
        expect((await send('HEAD', expired)).status).toBe(404);
        expect((await sendPart(expired, 500, picture.subarray(500))).status).toBe(404);

        expect(await sweep()).toBe(2);
        const left = await unfinished();
        expect(left).toContain(idOf(open_));
        expect(left).not.toContain(idOf(expired));
        expect(left).not.toContain(orphan);
        expect(
          await app.database.query('select 1 from resumable_uploads where id = $1', [
            idOf(expired),
          ]),
        ).toEqual([]);
        expect(await offsetOf(open_)).toBe(500);
      });
    });

    describe('the tus protocol', () => {
      it('is described by OPTIONS, to anyone and to browsers', async () => {
        for (const path of [UPLOADS, `${UPLOADS}/${newId()}`]) {
          const bare = await app.http.options(path).expect(204);
          expect(bare.headers).toMatchObject({
            'tus-resumable': '1.0.0',
            'tus-version': '1.0.0',
            'tus-extension': 'creation,creation-with-upload,expiration,termination',
            'tus-max-size': String(20 * MEBIBYTE),
          });
          const wanted = 'authorization,content-type,tus-resumable,upload-length,upload-offset';
          const preflight = await app.http.options(path).set({
            origin: ORIGIN,
            'access-control-request-method': 'PATCH',
            'access-control-request-headers': wanted,
          });
          expect(preflight.headers).toMatchObject({
            'access-control-allow-origin': ORIGIN,
            'access-control-allow-methods': expect.stringContaining('PATCH'),
            'access-control-allow-headers': wanted,
          });
        }
      });

      it('shows its headers to scripts of the origins that were named', async () => {
        const answer = await app.http.post(UPLOADS).set('origin', ORIGIN).expect(401);
        const exposed = String(answer.headers['access-control-expose-headers']).split(', ');
        expect(exposed).toEqual(
          expect.arrayContaining([
            'location',
            'atelier-image-id',
            'upload-offset',
            'upload-length',
            'upload-expires',
            'tus-resumable',
            'tus-max-size',
          ]),
        );
      });
    });
  });
}
