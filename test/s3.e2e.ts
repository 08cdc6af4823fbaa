import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { Upload } from 'tus-js-client';
import { Storage } from '../src/storage/storage.js';
import { eventually } from './eventually.js';
import { plainNames, uploadPicture } from './image-requests.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { readiness } from './readiness.js';
import { S3Server } from './s3/s3-server.js';
import { type Account, TestingApp } from './testing-app.js';

/** A moment before every grace. */
const LONG_AGO = new Date(Date.now() - 86_400_000);

let store: S3Server;
let app: TestingApp;
let owner: Account;
let picture: Buffer;

beforeAll(async () => {
  store = await S3Server.start({ pageSize: 4 });
  app = await TestingApp.start({
    variables: { ...store.variables, CLEANUP_GRACE_SECONDS: '2', STORAGE_REDIRECT: 'true' },
  });
  owner = await app.register();
  picture = await makePicture({ width: 2600, height: 1800 });
});

afterEach(() => {
  store.faults.clear();
});

afterAll(async () => {
  await app.close();
  await store.close();
});

/** Names of the objects of an image, without what nobody can guess of them. */
function objectsOf(imageId: string): string[] {
  const keys = store.bucket.keys('images/').filter((key) => key.includes(imageId));
  return plainNames(keys.map((key) => key.slice(key.lastIndexOf('/') + 1)));
}

function unfinished(): number {
  return store.bucket.uploads.size;
}

function fileOf(imageId: string, query = ''): string {
  return `/api/v1/images/${imageId}/file${query}`;
}

/** An answer as it comes, without going where it leads. */
function ask(url: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url, { redirect: 'manual', ...init });
}

describe('a picture whose files are in a bucket', () => {
  it('is uploaded, converted, served and deleted, and leaves nothing on the disk', async () => {
    const { body, status } = await uploadPicture(app, owner, picture);
    expect([status, body.status]).toEqual([201, 'COMPLETED']);
    const made = ['large-1.webp', 'medium-1.webp', 'original-1.jpg', 'thumbnail-1.webp'];
    const stored = await eventually(
      async () => objectsOf(body.id),
      ({ length }) => length === 4,
    );
    expect(stored).toEqual(made);
    expect(existsSync(join(app.variables['DATA_DIR'] ?? '', 'files'))).toBe(false);
    const work = () => readdir(join(app.variables['DATA_DIR'] ?? '', 'work'));
    expect(await eventually(work, (names) => names.length === 0)).toEqual([]);

    await app.as(owner).delete(`/api/v1/images/${body.id}`).expect(204);
    expect(
      await eventually(
        async () => objectsOf(body.id),
        ({ length }) => length === 0,
      ),
    ).toEqual([]);
  });

  it('may come in parts', async () => {
    const id = await new Promise<string>((resolve, reject) => {
      const upload = new Upload(picture, {
        endpoint: `${app.url}/api/v1/images/uploads`,
        headers: { authorization: `Bearer ${owner.token}` },
        chunkSize: Math.ceil(picture.length / 3),
        metadata: { force: 'true' },
        onError: reject,
        onSuccess: () => {
          resolve(new URL(upload.url ?? '').pathname.split('/').at(-1) ?? '');
        },
      });
      upload.start();
    });
    const image = await eventually(
      async () => (await app.as(owner).get(`/api/v1/images/${id}`)).body,
      ({ status }) => status === 'COMPLETED',
    );
    expect(image.status).toBe('COMPLETED');
    expect(objectsOf(id)).toContain('large-1.webp');
  });

  it('leaves nothing when it is refused, or breaks off', async () => {
    const cut = picture.subarray(0, picture.length - 2_000);
    const refused = await app.as(owner).post('/api/v1/images/upload').attach('image', cut, 'x');
    expect([refused.status, refused.body.code]).toEqual([422, 'truncated']);

    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    const head = [
      'POST /api/v1/images/upload HTTP/1.1',
      `host: x\r\nauthorization: Bearer ${owner.token}`,
      `content-type: multipart/form-data; boundary=x\r\ncontent-length: ${picture.length}\r\n`,
      '--x\r\ncontent-disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n',
    ];
    socket.write(head.join('\r\n'));
    socket.write(cut);
    const begun = () =>
      app.database.query(`select 1 from file_removals where target like '%/upload-%'`);
    expect(await eventually(begun, (rows) => rows.length === 1)).toHaveLength(1);
    socket.destroy();
    expect(await eventually(begun, (rows) => rows.length === 0)).toEqual([]);
    expect(store.bucket.keys('').filter((key) => key.includes('/upload-'))).toEqual([]);
    expect(unfinished()).toBe(0);
  });

  it('is told of in the capabilities, and asked about for readiness', async () => {
    const { body } = await app.http.get('/health/capabilities').expect(200);
    const capabilities = JSON.stringify(body);
    expect(capabilities).toContain('{"part":"files","driver":"s3","embedded":false}');
    await readiness(app.url, 200);
  });
});

describe('a redirect to the store', () => {
  let image: Awaited<ReturnType<typeof uploadPicture>>['body'];
  const signedIn = () => ({ authorization: `Bearer ${owner.token}` });

  beforeAll(async () => {
    ({ body: image } = await uploadPicture(app, owner, picture));
  });

  it('leads to the bytes, in one size or a range, without an access token', async () => {
    const answer = await ask(app.url + fileOf(image.id), { headers: signedIn() });
    expect(answer.status).toBe(302);
    expect(answer.headers.get('cache-control')).toBe('private, no-cache');
    const location = answer.headers.get('location') ?? '';
    expect(location).toMatch(new RegExp(`^${store.url}/${store.bucketName}/images/`));

    const file = await fetch(location);
    const bytes = Buffer.from(await file.arrayBuffer());
    expect((await sharp(bytes).metadata()).width).toBe(2048);
    expect(Object.fromEntries(file.headers)).toMatchObject({
      'content-type': 'image/webp',
      'content-disposition': `inline; filename="${image.id}-large.webp"`,
      'cache-control': 'private, max-age=900, immutable',
    });
    const part = await fetch(location, { headers: { range: 'bytes=10-19' } });
    expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(10, 20));
  });

  it('is followed by browsers from the links in answers', async () => {
    const { url } = image.variants.thumbnail;
    expect(url).toMatch(new RegExp(`^${app.url}/api/v1/files/`));
    const hop = await ask(url);
    const [, seconds] =
      /^private, max-age=(\d+)$/.exec(hop.headers.get('cache-control') ?? '') ?? [];
    expect(Number(seconds)).toBeLessThanOrEqual(450);
    expect(Number(seconds)).toBeGreaterThan(300);
    // One address for all of a link's life, so that what a browser keeps is found again.
    expect((await ask(url)).headers.get('location')).toBe(hop.headers.get('location'));
    const shown = await fetch(url);
    expect((await sharp(Buffer.from(await shown.arrayBuffer())).metadata()).width).toBe(320);
  });

  it('of a public file may be kept by anyone, for a while', async () => {
    const { body } = await uploadPicture(app, owner, picture, { visibility: 'public' });
    const hop = await ask(body.variants.medium.url);
    expect(hop.headers.get('cache-control')).toMatch(/^public, max-age=\d+$/);
    const file = await fetch(hop.headers.get('location') ?? '');
    expect(file.headers.get('cache-control')).toBe('public, max-age=900, immutable');
    await file.arrayBuffer();
  });

  it('is good for HEAD, too', async () => {
    const url = app.url + fileOf(image.id);
    const hop = await ask(url, { method: 'HEAD', headers: signedIn() });
    expect(hop.status).toBe(302);
    const head = await fetch(hop.headers.get('location') ?? '', { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.headers.get('content-length')).toBe(String(image.variants.large.bytes));
  });

  it('comes only after everything that would be refused, or need no bytes', async () => {
    await app.http.get(fileOf(image.id)).expect(404);
    await app.as(owner).get(fileOf(image.id, '?size=huge')).expect(400);
    await app.http.get(`${new URL(image.variants.large.url).pathname}?expires=never`).expect(403);
    const [row] = await app.database.query<{ checksum: string; storage_key: string }>(
      `select checksum, storage_key from image_variants where image_id = $1 and name = 'large'`,
      [image.id],
    );
    const etag = `"${row!.checksum.slice(0, 32)}"`;
    const asked = () => store.asked.filter(({ key }) => key === row!.storage_key).length;
    const before = asked();
    await app.as(owner).get(fileOf(image.id)).set('if-none-match', etag).expect(304);
    await app.as(owner).get(fileOf(image.id)).set('if-match', '"other"').expect(412);
    expect(asked()).toBe(before);
    store.bucket.objects.delete(row!.storage_key);
    expect((await ask(image.variants.large.url)).status).toBe(404);
  });

  it('does not happen to originals: they come from the API, under its policy', async () => {
    const { body } = await uploadPicture(app, owner, picture);
    const url = fileOf(body.id, '?size=original');
    const answer = await app.as(owner).get(url).expect(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'image/jpeg',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining('sandbox'),
    });
    const part = await app.as(owner).get(url).set('range', 'bytes=-5').expect(206);
    expect(part.body).toEqual((answer.body as Buffer).subarray(-5));
    const head = await app.as(owner).head(url).expect(200);
    expect(head.headers['content-length']).toBe(String((answer.body as Buffer).length));
  });
});

describe('a redirect with an address under which anyone may read the bucket', () => {
  const BASE = 'https://cdn.example/pictures';
  let open: TestingApp;
  let account: Account;

  beforeAll(async () => {
    open = await TestingApp.start({
      variables: { ...store.variables, STORAGE_REDIRECT: 'true', S3_PUBLIC_BASE_URL: BASE },
    });
    account = await open.register();
  });
  afterAll(() => open.close());

  it('leads there for files of public images, for a minute', async () => {
    const { body } = await uploadPicture(open, account, picture, { visibility: 'public' });
    const { url } = body.variants.medium;
    for (const method of ['GET', 'HEAD']) {
      const hop = await ask(url, { method });
      expect(hop.status).toBe(302);
      expect(hop.headers.get('cache-control')).toBe('public, max-age=60');
      const location = hop.headers.get('location') ?? '';
      expect(location).toMatch(new RegExp(`^${BASE}/images/[^?]*/medium-1-[0-9a-f]{32}\\.webp$`));
      expect(store.bucket.keys('')).toContain(location.slice(BASE.length + 1));
    }
    const unversioned = await ask(open.url + fileOf(body.id));
    expect(unversioned.headers.get('location')).toMatch(new RegExp(`^${BASE}/images/`));
    expect(unversioned.headers.get('cache-control')).toBe('private, no-cache');
  });

  it('leads to signed addresses for private images, also for one that was public', async () => {
    const { body } = await uploadPicture(open, account, picture, { visibility: 'public' });
    const { url: link } = body.variants.medium;
    expect((await ask(link)).status).toBe(302);
    const { body: hidden } = await open
      .as(account)
      .patch(`/api/v1/images/${body.id}`)
      .send({ visibility: 'private' })
      .expect(200);
    expect((await ask(link)).status).toBe(404);
    const headers = { authorization: `Bearer ${account.token}` };
    for (const url of [link, hidden.variants.medium.url]) {
      const hop = await ask(url, { headers });
      expect(hop.headers.get('location')).toMatch(
        new RegExp(`^${store.url}/.*[?&]X-Amz-Signature=`),
      );
    }
  });

  it('does not happen to originals', async () => {
    const { body } = await uploadPicture(open, account, picture, { visibility: 'public' });
    await open.as(account).get(fileOf(body.id, '?size=original')).expect(200);
    await open.http.get(fileOf(body.id, '?size=original')).expect(404);
  });
});

describe('a file that the API fetches from the bucket', () => {
  const content = Buffer.from('0123456789');
  let plain: TestingApp;
  let link: string;
  let key: string;

  beforeAll(async () => {
    plain = await TestingApp.start({ worker: false, variables: store.variables });
    key = `images/${owner.userId}/1-x/served.webp`;
    await plain.app.get(Storage).uploadBuffer(key, content);
    [link = ''] = plain.app.get(Storage).createSignedUrls([key], 60);
  });
  afterAll(async () => {
    store.bucket.objects.delete(key);
    await plain.close();
  });

  it('comes whole, in parts, as headers alone, and not at all to who has it', async () => {
    const whole = await ask(link);
    expect([whole.status, await whole.text()]).toEqual([200, String(content)]);
    const etag = whole.headers.get('etag') ?? '';
    const part = await ask(link, { headers: { range: 'bytes=-3', 'if-range': etag } });
    expect([part.status, await part.text()]).toEqual([206, '789']);
    expect(part.headers.get('content-range')).toBe('bytes 7-9/10');
    const beyond = await ask(link, { headers: { range: 'bytes=10-' } });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */10']);
    const head = await ask(link, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '10']);
    expect((await ask(link, { headers: { 'if-none-match': etag } })).status).toBe(304);
  });

  it('is not found when it has gone, and unavailable when the store is', async () => {
    for (const fail of ['AccessDenied', 'NoSuchBucket'] as const) {
      store.faults.add({ fail });
      expect((await ask(link)).status).toBe(503);
      expect((await ask(link, { method: 'HEAD' })).status).toBe(503);
      store.faults.clear();
    }
    store.bucket.objects.delete(key);
    expect((await ask(link)).status).toBe(404);
  });

  it('does not come shorter than the store said of it', async () => {
    await plain.app.get(Storage).uploadBuffer(key, content);
    const headers = { 'content-range': 'bytes 0-3/4', 'content-length': '4' };
    store.faults.add({ on: 'GetObject', claim: { headers } });
    expect((await ask(link, { headers: { range: 'bytes=0-3' } })).status).toBe(503);
  });

  it.each(['bytes 10-5/3', 'bytes 0-99999999/100000000'])(
    'does not come as a part that nobody asked for: %s',
    async (range) => {
      await plain.app.get(Storage).uploadBuffer(key, content);
      const headers = { 'content-range': range };
      store.faults.add({ on: 'GetObject', claim: { status: 206, headers } });
      expect((await ask(link)).status).toBe(503);
    },
  );

  it('breaks off with its connection when the store breaks it off for good', async () => {
    await plain.app.get(Storage).uploadBuffer(key, Buffer.alloc(300_000));
    store.faults.add({ on: 'GetObject', cutAnswerAfter: 20_000 });
    const answer = await ask(link);
    expect(answer.status).toBe(200);
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });
});

describe('a file that the store has in another size than its row', () => {
  it('is a fault of the store, whole, in parts or as headers', async () => {
    const { body: image } = await uploadPicture(app, owner, picture);
    const url = fileOf(image.id, '?size=original');
    const key = store.bucket.keys('images/').find((each) => each.includes(`${image.id}/original-`));
    const object = store.bucket.get(key ?? '');
    const beyond = `bytes=${object.body.length - 5_000}-`;
    object.body = object.body.subarray(0, -5_000);
    for (const request of [
      app.as(owner).get(url),
      app.as(owner).get(url).set('range', 'bytes=0-9'),
      app.as(owner).get(url).set('range', beyond),
      app.as(owner).head(url),
    ]) {
      const answer = await request;
      expect([answer.status, answer.headers['content-range']]).toEqual([503, undefined]);
      expect(answer.headers).not.toHaveProperty('etag');
    }
    expect(
      await eventually(
        async () => store.openRequests,
        (open) => open === 0,
      ),
    ).toBe(0);
  });
});

describe('an upload that the store does not give back as it was', () => {
  let id: string;
  let key: string;

  /** Takes an upload for a worker to convert, in the first of its attempts or in the last. */
  async function accept({ attempts = 0 } = {}): Promise<void> {
    await app.worker?.stop();
    const request = app.as(owner).post('/api/v1/images/upload?force=true');
    ({
      body: { id },
    } = await request.attach('image', picture, 'x').expect(202));
    await app.database.query('update images set attempts = $2 where id = $1', [id, attempts]);
    key = store.bucket.keys('images/').find((each) => each.includes(id)) ?? '';
  }

  async function row() {
    const [found] = await app.database.query<{
      status: string;
      attempts: number;
      error_code: string | null;
      is_resting: boolean;
    }>(
      `select status, attempts, error_code, lease_id is null as is_resting
       from images where id = $1`,
      [id],
    );
    return found!;
  }

  async function reprocess() {
    const request = app.as(owner).post(`/api/v1/images/${id}/reprocess`);
    return (await request.set('prefer', 'wait=30')).body;
  }

  it.each([
    ['garbles it', async (upload: Buffer) => Buffer.from(upload).reverse()],
    ['has another picture in its place', () => makePicture()],
    ['has lost it', async () => undefined],
  ])('is tried again, and made in the end, when the store %s', async (_name, damage) => {
    await accept();
    const { body, headers } = store.bucket.get(key);
    const damaged = await damage(body);
    if (damaged) store.bucket.put(key, damaged, headers);
    else store.bucket.objects.delete(key);
    await app.startWorker();
    const tried = await eventually(row, ({ attempts, is_resting }) => attempts > 0 && is_resting);
    expect(tried).toMatchObject({ status: 'PROCESSING', error_code: null });

    store.bucket.put(key, body, headers);
    const made = await eventually(row, ({ status }) => status === 'COMPLETED', 30_000);
    expect(made).toMatchObject({ status: 'COMPLETED', error_code: null });
  });

  it('fails for good without any blame, and can be taken up again', async () => {
    store.faults.add({ on: 'PutObject', garble: true, times: 1 });
    await accept({ attempts: 9 });
    await app.startWorker();
    const failed = await eventually(row, ({ status }) => status === 'FAILED');
    expect(failed).toMatchObject({ status: 'FAILED', error_code: 'internal-error' });

    store.bucket.get(key).body.reverse();
    expect(await reprocess()).toMatchObject({ status: 'COMPLETED', error: null });
  });

  it('is told to be missing when its last attempt does not find it either', async () => {
    await accept({ attempts: 9 });
    const { body, headers } = store.bucket.get(key);
    store.bucket.objects.delete(key);
    await app.startWorker();
    const failed = await eventually(row, ({ status }) => status === 'FAILED');
    expect(failed).toMatchObject({ status: 'FAILED', error_code: 'file-missing' });

    store.bucket.put(key, body, headers);
    expect(await reprocess()).toMatchObject({ status: 'COMPLETED', error: null });
  });

  it('is the same for an original that is to be made anew', async () => {
    ({
      body: { id },
    } = await uploadPicture(app, owner, picture));
    key = store.bucket.keys('images/').find((each) => each.includes(`${id}/original-`)) ?? '';
    store.bucket.get(key).body.reverse();
    await app.as(owner).post(`/api/v1/images/${id}/reprocess`).expect(202);
    await eventually(row, ({ attempts, is_resting }) => attempts > 0 && is_resting);
    store.bucket.get(key).body.reverse();
    const made = await eventually(row, ({ status }) => status === 'COMPLETED', 30_000);
    expect(made).toMatchObject({ status: 'COMPLETED', error_code: null });
  });
});

describe('while the store fails', () => {
  it('requests answer 503 with Retry-After and nothing of the store, and work again after', async () => {
    const { body: image } = await uploadPicture(app, owner, picture);
    store.faults.add({ fail: 'SlowDown' });
    for (const request of [
      app
        .as(owner)
        .post('/api/v1/images/upload')
        .attach('image', await makePicture(), 'x'),
      app.as(owner).get(fileOf(image.id, '?size=original')),
    ]) {
      const answer = await request;
      expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      expect(JSON.stringify(answer.body)).not.toMatch(/127\.0\.0\.1|SlowDown|AKIA|pictures/);
    }
    await readiness(app.url, 503);
    store.faults.clear();
    await readiness(app.url, 200);
    expect((await uploadPicture(app, owner, await makePicture())).status).toBe(201);
  });
});

describe('a store that is not what the environment says', () => {
  it.each(['S3_BUCKET', 'S3_SECRET_ACCESS_KEY'])(
    'is told of at the start, which goes on: another %s',
    async (name) => {
      const { api } = await ProductProcess.startApi({ ...app.variables, [name]: 'elsewhere' });
      await api.tells('look at S3_ENDPOINT, S3_BUCKET and the keys');
      expect(await api.stop()).toBe(0);
    },
  );
});

describe('npm run images:verify on a bucket', () => {
  async function verify(...flags: string[]) {
    const child = ProductProcess.spawn('images-verify', app.variables, flags);
    return { code: await child.ended(), output: child.output };
  }

  it('finds what is lost, damaged or a stray, and repairs it', async () => {
    const { body: lost } = await uploadPicture(app, owner, picture);
    const { body: damaged } = await uploadPicture(app, owner, picture);
    const keyOf = (id: string, name: string) =>
      store.bucket.keys('images/').find((key) => key.includes(id) && key.includes(name)) ?? '';
    const gone = keyOf(lost.id, 'medium');
    store.bucket.objects.delete(gone);
    store.bucket.get(keyOf(damaged.id, 'large')).body[100]! ^= 1;
    const stray = `images/${owner.userId}/1-x/stray.webp`;
    store.bucket.put(stray, Buffer.from('x'), {}).lastModified = LONG_AGO;

    const { code, output } = await verify('--checksums');
    expect(code).toBe(1);
    for (const finding of [gone, keyOf(damaged.id, 'large'), stray]) {
      expect(output).toContain(finding);
    }

    await app.worker?.stop();
    await verify('--checksums', '--repair');
    await app.startWorker();
    for (const { id } of [lost, damaged]) {
      const { version } = await eventually(
        async () => (await app.database.query<any>('select * from images where id = $1', [id]))[0],
        ({ version, status }) => version === 2 && status === 'COMPLETED',
      );
      expect(version).toBe(2);
    }
    expect(store.bucket.objects.has(stray)).toBe(false);
    expect((await verify('--checksums')).code).toBe(0);
  });
});
