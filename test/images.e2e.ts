import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RequestContext } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import sharp from 'sharp';
import { Idempotency } from '../src/core/idempotency.js';
import { newId } from '../src/core/ids.js';
import { FileUrlSigner } from '../src/storage/signed-url.js';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { statusOf } from './status-of.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let owner: Account;
let stranger: Account;
let picture: Buffer;

beforeAll(async () => {
  app = await TestingApp.start();
  [owner, stranger] = await Promise.all([app.register(), app.register()]);
  picture = await makePicture({ width: 3000, height: 2000 });
});

afterAll(() => app.close());

/** Uploads and waits until the image is final. */
async function upload(file: Buffer = picture, fields: Record<string, string> = {}, as = owner) {
  const request = app.as(as).post('/api/v1/images/upload').set('prefer', 'wait=30').field(fields);
  return request.attach('image', file, 'picture.jpg');
}

/** Runs something of the API outside a request. */
function inContext<T>(work: () => Promise<T>): Promise<T> {
  return RequestContext.create(app.app.get(EntityManager), work);
}

/** Paths of everything in storage that belongs to an account. */
async function storedFiles(account: Account): Promise<string[]> {
  const folder = join(app.variables['DATA_DIR'] ?? '', 'files/images', account.userId);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe('an upload', () => {
  it('is taken at once and becomes three WebP variants', async () => {
    const accepted = await app
      .as(owner)
      .post('/api/v1/images/upload')
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
      .post('/api/v1/images/upload')
      .set('prefer', 'respond-async, wait=100')
      .attach('image', picture, 'x');
    expect(tooLong.headers['preference-applied']).toBe('wait=30');
    await app.as(owner).post('/api/v1/images/upload?wait=31').attach('image', picture).expect(422);
    const impatient = await app
      .as(owner)
      .post('/api/v1/images/upload?wait=0')
      .attach('file', picture, 'x');
    expect(impatient.status).toBe(202);
  });

  it.each(['jpeg', 'png', 'webp'] as const)('takes %s', async (format) => {
    const { status, body } = await upload(await makePicture({ format }));
    expect([status, body.status, body.metadata.format]).toEqual([201, 'COMPLETED', format]);
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

  it('ends FAILED with a code when the picture is damaged', async () => {
    const { status, body } = await upload(picture.subarray(0, picture.length / 2));
    expect(status).toBe(201);
    expect(body).toMatchObject({
      status: 'FAILED',
      ready: false,
      error: { code: 'undecodable', detail: expect.any(String) },
    });
    await app.as(owner).get(`/api/v1/images/${body.id}/file`).expect(409);
    const letters = await app.database.query(`select 1 from failed_jobs`);
    expect(letters).toEqual([]);
  });
});

describe('a worker', () => {
  it('keeps to the limits of pixels and time, and leaves no originals behind', async () => {
    const strict = await TestingApp.start({
      worker: false,
      variables: { IMAGE_MAX_PIXELS: '100000' },
    });
    try {
      const account = await strict.register();
      const send = (file: Buffer) =>
        strict
          .as(account)
          .post('/api/v1/images/upload?wait=30')
          .attach('image', file, 'x')
          .expect(201);
      await strict.startWorker();
      const large = await send(await makePicture({ width: 400, height: 300 }));
      expect(large.body.error.code).toBe('too-many-pixels');
      await strict.worker?.stop();
      await strict.startWorker({ IMAGE_MAX_PIXELS: '50000000', IMAGE_DECODE_TIMEOUT_MS: '100' });
      const slow = await send(picture);
      expect(slow.body.error.code).toBe('decode-timeout');
      expect(await strict.database.query('select 1 from failed_jobs')).toEqual([]);
      expect(await readdir(join(strict.variables['DATA_DIR'] ?? '', 'work'))).toEqual([]);
    } finally {
      await strict.close();
    }
  });
});

describe('a refused upload', () => {
  const refusals: [string, () => Promise<Buffer>, number, string][] = [
    ['an empty file', async () => Buffer.alloc(0), 422, 'empty-file'],
    [
      'a file of another type',
      async () => Buffer.from('GIF89a, or so it says'),
      415,
      'unsupported-type',
    ],
    [
      'a text that is shorter than any signature',
      async () => Buffer.from('a'),
      415,
      'unsupported-type',
    ],
    [
      'a file that is too large',
      async () => Buffer.concat([await makePicture(), Buffer.alloc(21 * 1024 * 1024)]),
      413,
      'file-too-large',
    ],
  ];
  it.each(refusals)('is %s', async (_name, makeFile, status, code) => {
    const account = await app.register();
    const answer = await upload(await makeFile(), {}, account);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(await storedFiles(account)).toEqual([]);
  });

  it('is a file of exactly one byte more than the limit; one of the limit is taken', async () => {
    const limit = 20 * 1024 * 1024;
    const exact = Buffer.concat([picture, Buffer.alloc(limit - picture.length)]);
    expect((await upload(exact)).body.code).toBeUndefined();
    expect((await upload(Buffer.concat([exact, Buffer.from('x')]))).body.code).toBe(
      'file-too-large',
    );
  });

  it.each([
    ['an unknown field', { owner: 'me' }, 'body.owner'],
    ['a field out of bounds', { title: 'x'.repeat(201) }, 'body.title'],
    ['a control character', { title: 'a\u0000b' }, 'body.title'],
    ['an unknown visibility', { visibility: 'secret' }, 'body.visibility'],
  ])('has %s, and nothing of it stays', async (_name, fields, path) => {
    const account = await app.register();
    const answer = await upload(picture, fields, account);
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ code: 'validation-failed', errors: [{ path }] });
    expect(await storedFiles(account)).toEqual([]);
  });

  it('has a field twice, or one named for a prototype', async () => {
    const account = await app.register();
    const post = () => app.as(account).post('/api/v1/images/upload').attach('image', picture, 'x');
    const twice = await post().field('title', 'a').field('title', 'b').expect(422);
    expect(twice.body.errors[0].path).toBe('body.title');
    const prototype = await post().field('__proto__', 'a').expect(422);
    expect(prototype.body.errors[0].path).toBe('body.__proto__');
    expect(await storedFiles(account)).toEqual([]);
  });

  it.each([
    ['no boundary', 'multipart/form-data', '--b\r\n', 400],
    ['an empty boundary', 'multipart/form-data; boundary=', '--b\r\n', 400],
    [
      'a file without a field',
      'multipart/form-data; boundary=b',
      '--b\r\ncontent-disposition: form-data; filename="x"\r\n\r\nx\r\n--b--\r\n',
      422,
    ],
    [
      'a field of broken JSON',
      'multipart/form-data; boundary=b',
      '--b\r\ncontent-disposition: form-data; name="title"\r\n' +
        'content-type: application/json\r\n\r\n{x\r\n--b--\r\n',
      422,
    ],
  ])('is a form with %s', async (_name, type, body, status) => {
    const answer = await app
      .as(owner)
      .post('/api/v1/images/upload')
      .set('content-type', type)
      .send(Buffer.from(body));
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  it('stops in the middle of its first bytes, and holds up nobody', async () => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    socket.write(
      `POST /upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${owner.token}\r\n` +
        'content-type: multipart/form-data; boundary=b\r\ncontent-length: 99999\r\n\r\n' +
        '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n',
    );
    for (const byte of picture.subarray(0, 5)) {
      socket.write(Buffer.from([byte]));
      await sleep(50);
    }
    await app.http.get('/health').timeout(2_000).expect(200);
    socket.destroy();
    await sleep(100);
    await app.http.get('/health').timeout(2_000).expect(200);
  });

  it('arrives byte by byte at first, and is taken', async () => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    const head = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';
    const tail = '\r\n--b--\r\n';
    socket.write(
      `POST /upload?wait=30 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${owner.token}\r\n` +
        'connection: close\r\ncontent-type: Multipart/Form-Data; boundary=b\r\n' +
        `content-length: ${head.length + picture.length + tail.length}\r\n\r\n${head}`,
    );
    for (const byte of picture.subarray(0, 20)) {
      socket.write(Buffer.from([byte]));
      await sleep(5);
    }
    socket.write(picture.subarray(20));
    socket.write(tail);
    expect(await text(socket)).toContain('"status":"COMPLETED"');
  });

  it('says in its headers that it is too large', async () => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    socket.write(
      `POST /upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${owner.token}\r\n` +
        'connection: close\r\ncontent-type: multipart/form-data; boundary=b\r\n' +
        'content-length: 99999999\r\n\r\n',
    );
    expect(await text(socket)).toContain('"code":"file-too-large"');
  });

  it('is not blamed on the client when storage is at fault', async () => {
    const account = await app.register();
    const files = join(app.variables['DATA_DIR'] ?? '', 'files/images');
    await writeFile(join(files, account.userId), 'in the way');
    const answer = await upload(picture, {}, account);
    expect([answer.status, answer.body.code]).toEqual([500, 'internal-error']);
    expect((await app.as(account).get('/api/v1/images')).body.items).toEqual([]);
  });

  it('has no file, a file in another field, or two files', async () => {
    const account = await app.register();
    const post = () => app.as(account).post('/api/v1/images/upload');
    expect((await post().field('title', 'x')).body.errors[0].path).toBe('body.image');
    expect((await post().attach('avatar', picture, 'x')).status).toBe(422);
    const twice = await post().attach('image', picture, 'x').attach('image', picture, 'y');
    expect(twice.status).toBe(422);
    expect(await storedFiles(account)).toEqual([]);
  });

  it('is no multipart form, or one that breaks off', async () => {
    const post = () => app.as(owner).post('/api/v1/images/upload');
    expect((await post().send({ image: 'x' })).status).toBe(415);
    const head = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';
    const broken = await post()
      .set('content-type', 'multipart/form-data; boundary=b')
      .send(Buffer.concat([Buffer.from(head), picture.subarray(0, 50_000)]));
    expect(broken.status).toBe(400);
    expect(broken.body.code).toBe('malformed');
  });

  it.each([
    ['stands still for too long', { UPLOAD_IDLE_TIMEOUT_MS: '300' }, 0],
    ['takes too long in all', { UPLOAD_IDLE_TIMEOUT_MS: '500', UPLOAD_TIMEOUT_MS: '1000' }, 100],
  ])('%s, and nothing of it stays', async (_name, variables, dripEveryMs) => {
    const impatient = await TestingApp.start({ worker: false, variables });
    try {
      const account = await impatient.register();
      const socket = connect(Number(new URL(impatient.url).port), '127.0.0.1');
      socket.write(
        `POST /upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${account.token}\r\n` +
          'content-type: multipart/form-data; boundary=b\r\ncontent-length: 99999\r\n\r\n' +
          '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n',
      );
      socket.write(picture.subarray(0, 20_000));
      const drip = dripEveryMs > 0 ? setInterval(() => socket.write('x'), dripEveryMs) : undefined;
      const answer = await text(socket);
      clearInterval(drip);
      expect(answer).toMatch(/^HTTP\/1.1 408 /);
      expect(answer).toContain('"code":"request-timeout"');
      const files = join(impatient.variables['DATA_DIR'] ?? '', 'files');
      const left = await eventually(
        async () => {
          const entries = await readdir(files, { recursive: true, withFileTypes: true });
          return entries.filter((entry) => entry.isFile());
        },
        (entries) => entries.length === 0,
      );
      expect(left).toEqual([]);
    } finally {
      await impatient.close();
    }
  });

  it('would pass the quota, also when many come at once', async () => {
    const small = await TestingApp.start({
      worker: false,
      variables: { STORAGE_QUOTA_BYTES: String(picture.length * 3 + 100) },
    });
    try {
      const account = await small.register();
      const statuses = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const request = small.as(account).post('/api/v1/images/upload');
          return (await request.attach('image', picture, 'x')).status;
        }),
      );
      expect(statuses.sort()).toEqual([202, 202, 202, 507, 507, 507]);
    } finally {
      await small.close();
    }
  });
});

describe('an Idempotency-Key', () => {
  const send = (key: string, file: Buffer, fields: Record<string, string> = {}) =>
    app
      .as(owner)
      .post('/api/v1/images/upload')
      .set('idempotency-key', key)
      .field(fields)
      .attach('image', file, 'x');

  it('gives the first answer again, and makes nothing twice', async () => {
    const key = newId();
    const first = await send(key, picture).expect(202);
    const again = await send(key, picture).expect(202);
    expect(again.body).toEqual(first.body);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(again.headers['idempotency-replayed']).toBe('true');
  });

  it('gives the answer after the wait again when the first one waited', async () => {
    const key = newId();
    const first = await send(key, picture).set('prefer', 'wait=30').expect(201);
    expect((await send(key, picture).expect(201)).body).toEqual(first.body);
  });

  it('refuses another file or other fields under the same key', async () => {
    const key = newId();
    await send(key, picture).expect(202);
    const other = await send(key, await makePicture()).expect(422);
    expect(other.body.code).toBe('idempotency-mismatch');
    await send(key, picture, { title: 'other' }).expect(422);
  });

  it('can be taken over when its request died, and is free again after a day', async () => {
    const key = newId();
    const first = await send(key, picture).expect(202);
    const age = (change: string) =>
      app.database.query(`update idempotency_keys set ${change} where key = $1`, [key]);
    await age('status = null, body = null');
    await send(key, picture).expect(409);
    await age(`leased_until = now() - interval '1 second'`);
    await send(key, await makePicture()).expect(422);
    const second = await send(key, picture).expect(202);
    expect(second.body.id).not.toBe(first.body.id);
    await age(`created_at = now() - interval '25 hours'`);
    const third = await send(key, await makePicture()).expect(202);
    expect(third.headers['idempotency-replayed']).toBeUndefined();
  });

  it('gives its answer also when the account is full by now', async () => {
    const small = await TestingApp.start({
      worker: false,
      variables: { STORAGE_QUOTA_BYTES: String(picture.length) },
    });
    try {
      const account = await small.register();
      const post = () =>
        small
          .as(account)
          .post('/api/v1/images/upload')
          .set('idempotency-key', 'one')
          .attach('image', picture, 'x');
      const first = await post().expect(202);
      const again = await post().expect(202);
      expect(again.body.id).toBe(first.body.id);
    } finally {
      await small.close();
    }
  });

  it('is free again when its request was refused, and nothing of refused ones stays', async () => {
    const account = await app.register();
    const key = newId();
    const post = (file: Buffer) =>
      app
        .as(account)
        .post('/api/v1/images/upload')
        .set('idempotency-key', key)
        .attach('image', file, 'x');
    await post(Buffer.from('no picture')).expect(415);
    await post(picture).expect(202);
    await post(picture).expect(202);
    await post(await makePicture()).expect(422);
    const originals = (await storedFiles(account)).filter((name) => name.startsWith('original'));
    expect(originals).toHaveLength(1);
  });

  it('is forgotten after a day', async () => {
    const key = newId();
    await send(key, picture).expect(202);
    const idempotency = app.app.get(Idempotency);
    const count = async () =>
      (await app.database.query('select 1 from idempotency_keys where key = $1', [key])).length;
    await inContext(() => idempotency.forgetExpired());
    expect(await count()).toBe(1);
    await app.database.query(
      `update idempotency_keys set created_at = now() - interval '25 hours' where key = $1`,
      [key],
    );
    await inContext(() => idempotency.forgetExpired());
    expect(await count()).toBe(0);
  });

  it('belongs to its account alone', async () => {
    const key = newId();
    const mine = await send(key, picture).expect(202);
    const theirs = await app
      .as(stranger)
      .post('/api/v1/images/upload')
      .set('idempotency-key', key)
      .attach('image', picture, 'x')
      .expect(202);
    expect(theirs.body.id).not.toBe(mine.body.id);
  });

  it('makes one image of many equal requests at once', async () => {
    const key = newId();
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(key, picture)));
    const ids = new Set(answers.filter(({ status }) => status === 202).map(({ body }) => body.id));
    expect(ids.size).toBe(1);
    for (const { status, headers } of answers) {
      expect([202, 409]).toContain(status);
      if (status === 409) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    }
  });

  it('must be visible ASCII', async () => {
    const answer = await send('x'.repeat(256), picture);
    expect([answer.status, answer.body.errors[0].path]).toEqual([422, 'headers.idempotency-key']);
  });
});

describe('the file of an image', () => {
  it('comes in the size that was asked for, with a tag that saves sending it again', async () => {
    const { body } = await upload();
    const file = `/api/v1/images/${body.id}/file`;
    const large = await app.as(owner).get(file).expect(200);
    expect(large.headers).toMatchObject({
      'content-type': 'image/webp',
      'content-length': String(body.variants.large.bytes),
      'cache-control': 'private, no-cache',
      'x-content-type-options': 'nosniff',
      'content-disposition': `inline; filename="${body.id}-large.webp"`,
    });
    expect((await sharp(large.body as Buffer).metadata()).width).toBe(2048);

    const etag = large.headers['etag'] ?? '';
    const cached = await app.as(owner).get(file).set('if-none-match', `W/"x", ${etag}`).expect(304);
    expect(cached.headers['etag']).toBe(etag);
    const small = await app.as(owner).get(`${file}?size=thumbnail`).set('if-none-match', etag);
    expect(small.status).toBe(200);
    expect((await app.as(owner).get(`${file}?size=huge`).expect(400)).body.code).toBe('malformed');
    await app.as(owner).head(file).expect(200);
  });

  it('is 202 while the image is being made', async () => {
    await app.worker?.stop();
    const { body } = await app
      .as(owner)
      .post('/api/v1/images/upload')
      .attach('image', picture, 'x');
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
    const other = link.href.replace('medium.webp', 'original.jpg');
    expect(await statusOf(other)).toBe(403);
  });
});

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
    ids.unshift((await upload(picture.subarray(0, 5_000), {}, account)).body.id);
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

  it.each([
    ['?limit=101', 'query.limit'],
    ['?limit=0', 'query.limit'],
    ['?limit=two', 'query.limit'],
    ['?offset=-1', 'query.offset'],
    ['?status=DONE', 'query.status'],
    ['?sort=size', 'query.sort'],
    ['?cursor=bm90IG91cnM', 'query.cursor'],
    ['?cursor=x&offset=1', 'query.offset'],
  ])('refuses %s', async (query, path) => {
    const answer = await list(query).expect(422);
    expect(answer.body.errors[0].path).toBe(path);
  });
});

describe('deleting an image', () => {
  it('removes its row and its files, and its links are dead', async () => {
    const account = await app.register();
    const { body } = await upload(picture, {}, account);
    expect((await storedFiles(account)).length).toBe(4);
    await app.as(account).delete(`/api/v1/images/${body.id}`).expect(204);
    await app.as(account).get(`/api/v1/images/${body.id}`).expect(404);
    await app.as(account).delete(`/api/v1/images/${body.id}`).expect(404);
    expect(await statusOf(body.displayUrl)).toBe(404);
    expect(await storedFiles(account)).toEqual([]);
  });

  it('wins against a running conversion and leaves no files', async () => {
    const account = await app.register();
    const large = await makePicture({ width: 5000, height: 4000 });
    for (let round = 0; round < 5; round += 1) {
      const { body } = await app
        .as(account)
        .post('/api/v1/images/upload')
        .attach('image', large, 'x');
      await new Promise((resolve) => setTimeout(resolve, round * 150));
      await app.as(account).delete(`/api/v1/images/${body.id}`).expect(204);
    }
    await expect(
      eventually(
        () => storedFiles(account),
        (files) => files.length === 0,
      ),
    ).resolves.toEqual([]);
    expect(await app.database.query('select 1 from failed_jobs')).toEqual([]);
  });
});

describe("the first clients' routes", () => {
  it('upload, fetch and describe as they always did', async () => {
    const { body, status } = await app.as(owner).post('/upload').attach('image', picture, 'x.jpg');
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
