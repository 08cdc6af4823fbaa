import { readdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { removalsOf, startWithPicture, storedFiles, uploadPicture } from './image-requests.js';
import { gifOfFrames, jpegClaiming } from './bombs.js';
import { makePicture } from './pictures.js';
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
    expect(await removalsOf(app, account)).toEqual([]);
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
