import { readdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { RequestContext } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import sharp from 'sharp';
import { readEnv } from '../src/core/env.js';
import { Idempotency } from '../src/core/http/idempotency.js';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import { holdingAccount, startWithPicture, storedFiles, uploadPicture } from './image-requests.js';
import { gifOfFrames, jpegClaiming } from './bombs.js';
import { fixture, makeAnimation, makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { TcpProxy } from './tcp-proxy.js';
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

/** What is written down for removal of an account's files. */
async function removalsOf({ userId }: Account) {
  return app.database.query<{ target: string; seconds: string }>(
    `select target, extract(epoch from due_at - now()) as seconds from file_removals
     where target like $1`,
    [`images/${userId}/%`],
  );
}

/** Runs something of the API outside a request. */
function inContext<T>(work: () => Promise<T>): Promise<T> {
  return RequestContext.create(app.app.get(EntityManager), work);
}

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
    expect(await removalsOf(account)).toEqual([]);
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

describe('a refused upload', () => {
  const refusals: [string, () => Promise<Buffer>, number, string][] = [
    ['an empty file', async () => Buffer.alloc(0), 422, 'empty-file'],
    [
      'a file of another type',
      async () => Buffer.from('BM8, or so it says'),
      415,
      'unsupported-type',
    ],
    [
      'a file that is cut off',
      async () => picture.subarray(0, picture.length / 2),
      422,
      'truncated',
    ],
    ['a signature alone', async () => Buffer.from('GIF89a'), 422, 'truncated'],
    [
      'a file whose structure makes no sense',
      async () => Buffer.concat([picture.subarray(0, 2), picture]),
      422,
      'corrupt-file',
    ],
    [
      'a picture of too many pixels',
      async () => jpegClaiming(await makePicture(), 10_000, 5_001),
      422,
      'too-many-pixels',
    ],
    ['an animation of too many frames', async () => gifOfFrames(61), 422, 'too-many-frames'],
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
    expect(await storedFiles(app, account)).toEqual([]);
    expect(await removalsOf(account)).toEqual([]);
    const { body } = await app.as(account).get('/api/v1/images').expect(200);
    expect(body.items).toEqual([]);
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
    expect(await storedFiles(app, account)).toEqual([]);
  });

  it('has a field twice, or one named for a prototype', async () => {
    const account = await app.register();
    const post = () =>
      app.as(account).post('/api/v1/images/upload?force=true').attach('image', picture, 'x');
    const twice = await post().field('title', 'a').field('title', 'b').expect(422);
    expect(twice.body.errors[0].path).toBe('body.title');
    const prototype = await post().field('__proto__', 'a').expect(422);
    expect(prototype.body.errors[0].path).toBe('body.__proto__');
    expect(await storedFiles(app, account)).toEqual([]);
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
      .post('/api/v1/images/upload?force=true')
      .set('content-type', type)
      .send(Buffer.from(body));
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  it('stops in the middle of its first bytes, and holds up nobody', async () => {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    socket.write(
      `POST /upload?force=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${owner.token}\r\n` +
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
      `POST /upload?wait=30&force=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${owner.token}\r\n` +
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
      `POST /upload?force=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${owner.token}\r\n` +
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
    const post = () => app.as(account).post('/api/v1/images/upload?force=true');
    expect((await post().field('title', 'x')).body.errors[0].path).toBe('body.image');
    expect((await post().attach('avatar', picture, 'x')).status).toBe(422);
    const twice = await post().attach('image', picture, 'x').attach('image', picture, 'y');
    expect(twice.status).toBe(422);
    expect(await storedFiles(app, account)).toEqual([]);
  });

  it('is no multipart form, or one that breaks off', async () => {
    const post = () => app.as(owner).post('/api/v1/images/upload?force=true');
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
    ['comes a byte now and then', { UPLOAD_IDLE_TIMEOUT_MS: '300' }, 1],
    [
      'takes too long in all',
      { UPLOAD_IDLE_TIMEOUT_MS: '60000', UPLOAD_TIMEOUT_MS: '1500' },
      4_000,
    ],
  ])('%s, and nothing of it stays', async (_name, variables, drip) => {
    const impatient = await TestingApp.start({ worker: false, variables });
    try {
      const account = await impatient.register();
      const socket = connect(Number(new URL(impatient.url).port), '127.0.0.1');
      socket.write(
        `POST /upload?force=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${account.token}\r\n` +
          'content-type: multipart/form-data; boundary=b\r\ncontent-length: 999999\r\n\r\n' +
          '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n',
      );
      socket.write(picture.subarray(0, 20_000));
      const dripping = setInterval(() => socket.write('x'.repeat(drip)), 50);
      const answer = await text(socket);
      clearInterval(dripping);
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
          const request = small.as(account).post('/api/v1/images/upload?force=true');
          return (await request.attach('image', picture, 'x')).status;
        }),
      );
      expect(statuses.sort()).toEqual([202, 202, 202, 507, 507, 507]);
    } finally {
      await small.close();
    }
  });
});

describe('an upload whose file is stored, and whose row is not committed', () => {
  let account: Account;
  let proxy: TcpProxy;
  let api: ProductProcess;
  let url: string;

  beforeEach(async () => {
    account = await app.register();
    const before = await TcpProxy.before(app.variables['DATABASE_URL'] ?? '');
    proxy = before.proxy;
    const variables = { ...app.variables, DATABASE_URL: before.url };
    ({ api, url } = await ProductProcess.startApi(variables));
  });

  afterEach(async () => {
    await api.kill();
    await proxy.close();
  });

  const send = () => {
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(picture)]), 'x');
    const headers = { authorization: `Bearer ${account.token}` };
    return fetch(`${url}/api/v1/images/upload`, { method: 'POST', headers, body: form });
  };

  const stored = (count: number) =>
    eventually(
      () => storedFiles(app, account),
      (names) => names.length === count,
    );

  async function expectRemoval(): Promise<void> {
    const [file] = await stored(1);
    const removals = await removalsOf(account);
    expect(removals).toEqual([expect.objectContaining({ target: expect.stringContaining(file!) })]);
    const { UPLOAD_TIMEOUT_MS } = readEnv(app.variables);
    const afterLongest = Number(removals[0]!.seconds) - UPLOAD_TIMEOUT_MS / 1_000;
    expect(afterLongest).toBeGreaterThan(60);
    expect(afterLongest).toBeLessThan(300);

    const change = 'update file_removals set due_at = now() where target = $1';
    await app.database.query(change, [removals[0]!.target]);
    expect(await stored(0)).toEqual([]);
    const left = await eventually(
      () => removalsOf(account),
      (rows) => rows.length === 0,
    );
    expect(left).toEqual([]);
  }

  it('is removed in time when its process was killed', async () => {
    await holdingAccount(app, account, async () => {
      const answer = send().catch(() => undefined);
      await stored(1);
      await api.kill();
      await answer;
    });
    await expectRemoval();
  });

  it('is removed in time when its database was lost', async () => {
    await holdingAccount(app, account, async () => {
      const answer = send();
      await stored(1);
      proxy.cut();
      expect((await answer).status).toBe(503);
    });
    await expectRemoval();
  });

  it('stays when the commit, whose answer was lost, succeeds after all', async () => {
    await app.database.query(
      `create function linger() returns trigger language plpgsql as
         $$ begin perform pg_sleep(2); return null; end $$;
       create constraint trigger linger after insert on images
         deferrable initially deferred for each row execute function linger()`,
    );
    const answer = send();
    const committing = await eventually(
      () =>
        app.database.query(
          `select 1 from pg_stat_activity
           where datname = current_database() and state = 'active' and query ilike 'commit%'`,
        ),
      (rows) => rows.length === 1,
    );
    expect(committing).toHaveLength(1);
    proxy.cut();
    proxy.mend();
    expect((await answer).status).toBe(503);
    await app.database.query('drop function linger cascade');
    const images = await eventually(
      async () => (await app.as(account).get('/api/v1/images').expect(200)).body.items,
      ([image]) => ['COMPLETED', 'FAILED'].includes(image?.status),
    );
    expect(images).toMatchObject([{ status: 'COMPLETED', error: null }]);
  });
});

describe('an Idempotency-Key', () => {
  const send = (key: string, file: Buffer, fields: Record<string, string> = {}) =>
    app
      .as(owner)
      .post('/api/v1/images/upload?force=true')
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
          .post('/api/v1/images/upload?force=true')
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
        .post('/api/v1/images/upload?force=true')
        .set('idempotency-key', key)
        .attach('image', file, 'x');
    await post(Buffer.from('no picture')).expect(415);
    await post(picture).expect(202);
    await post(picture).expect(202);
    await post(await makePicture()).expect(422);
    const images = await app.as(account).get('/api/v1/images');
    expect(images.body.items).toHaveLength(1);
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 4,
    );
    expect(files).toHaveLength(4);
    const removals = await eventually(
      () => removalsOf(account),
      (targets) => targets.length === 0,
    );
    expect(removals).toEqual([]);
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
      .post('/api/v1/images/upload?force=true')
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
