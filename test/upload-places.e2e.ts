import { readdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { rawRequest } from './raw-http.js';
import { S3Server } from './s3/s3-server.js';
import { type Account, TestingApp } from './testing-app.js';

const PER_ACCOUNT = 3;
const AT_ONCE = 5;
const MEBIBYTE = 1024 * 1024;

let store: S3Server;
let app: TestingApp;
let picture: Buffer;
/** More than the store takes in one request. */
let large: Buffer;
let held: Held[] = [];

beforeAll(async () => {
  store = await S3Server.start();
  const variables = {
    ...store.variables,
    UPLOADS_PER_ACCOUNT: String(PER_ACCOUNT),
    UPLOADS_AT_ONCE: String(AT_ONCE),
    UPLOAD_IDLE_TIMEOUT_MS: '20000',
  };
  app = await TestingApp.start({ worker: false, variables });
  picture = await makePicture();
  large = await makePicture({ width: 2_000, height: 1_500, format: 'png' });
  expect(large.length).toBeGreaterThan(6 * MEBIBYTE);
});

afterEach(async () => {
  store.faults.clear();
  for (const { socket } of held) socket.destroy();
  held = [];
  // Whoever comes next finds all places free.
  expect(await eventually(leftovers, (names) => names.length === 0)).toEqual([]);
});

afterAll(async () => {
  await app.close();
  await store.close();
});

/** An upload that does not end. */
interface Held {
  socket: Socket;
  received: () => string;
}

function hold(start: Buffer, bytes: number, url = app.url): Held {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let received = '';
  socket.on('error', () => undefined);
  socket.on('data', (some) => (received += some.toString('latin1')));
  socket.write(start);
  socket.write(large.subarray(0, bytes));
  const one = { socket, received: () => received };
  held.push(one);
  return one;
}

function holdForm({ token }: Account, bytes = 1_000, url = app.url): Held {
  const head = rawRequest('POST', '/api/v1/images/upload?force=true', {
    connection: 'keep-alive',
    authorization: `Bearer ${token}`,
    'content-type': 'multipart/form-data; boundary=b',
    'content-length': String(10 * MEBIBYTE),
  });
  const part = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';
  return hold(Buffer.concat([head, Buffer.from(part)]), bytes, url);
}

async function holdPart(owner: Account, bytes: number): Promise<Held> {
  const tus = { 'tus-resumable': '1.0.0' };
  const { headers } = await app
    .as(owner)
    .post('/api/v1/images/uploads')
    .set({ ...tus, 'upload-length': String(large.length) })
    .expect(201);
  const head = rawRequest('PATCH', headers['location'] ?? '', {
    ...tus,
    connection: 'keep-alive',
    authorization: `Bearer ${owner.token}`,
    'content-type': 'application/offset+octet-stream',
    'upload-offset': '0',
    'content-length': String(large.length),
  });
  return hold(head, bytes);
}

function upload(owner: Account) {
  return app.as(owner).post('/api/v1/images/upload?force=true').attach('image', picture, 'x');
}

/** Waits until so many uploads are being read: each of them has written its key down by then. */
async function underWay(count: number): Promise<void> {
  const rows = () => app.database.query('select 1 from file_removals');
  expect(await eventually(rows, ({ length }) => length === count)).toHaveLength(count);
}

/** What uploads leave that come to nothing. */
async function leftovers(): Promise<string[]> {
  const images = await app.database.query<{ key: string }>('select storage_key as key from images');
  const known = new Set(images.map(({ key }) => key));
  const removals = await app.database.query<{ key: string }>(
    'select target as key from file_removals',
  );
  return [
    ...removals.map(({ key }) => key),
    ...[...store.bucket.uploads.values()].map(({ key }) => key),
    ...store.bucket.keys('images/').filter((key) => !known.has(key)),
    ...(await readdir(join(app.variables['DATA_DIR'] ?? '', 'work'))),
  ];
}

describe('uploads that stand still', () => {
  it('are at most so many of one account; some wait, and more are told to come again', async () => {
    const [many, other] = [await app.register(), await app.register()];
    const refused = 2;
    const waiting = 4 * AT_ONCE;
    const uploads = Array.from({ length: PER_ACCOUNT + waiting + refused }, () => holdForm(many));
    const refusals = () => uploads.filter(({ received }) => received().includes('HTTP/1.1 429'));
    await eventually(
      async () => refusals().length,
      (count) => count === refused,
    );
    await sleep(500);
    expect(refusals()).toHaveLength(refused);
    expect(refusals()[0]?.received()).toMatch(/retry-after: 5\r\n[^]*"code":"too-many-uploads"/);
    await underWay(PER_ACCOUNT);
    await upload(other).expect(202);
  });

  it('let those in that wait, when they end', async () => {
    const owner = await app.register();
    const uploads = Array.from({ length: PER_ACCOUNT }, () => holdForm(owner));
    await underWay(PER_ACCOUNT);
    const waiting = upload(owner).then(({ status }) => status);
    await sleep(300);
    uploads[0]?.socket.destroy();
    expect(await waiting).toBe(202);
  });

  it('make room for those of other accounts', async () => {
    const [many, some, other] = [await app.register(), await app.register(), await app.register()];
    const uploads: Held[] = [];
    for (const owner of [many, many, many, some, some]) {
      uploads.push(holdForm(owner));
      await underWay(uploads.length);
    }
    await upload(other).expect(202);

    const answers = () => uploads.map(({ received }) => received());
    const [first = '', ...others] = await eventually(
      async () => answers(),
      ([first]) => first !== '',
    );
    expect(first).toMatch(/^HTTP\/1.1 503 /);
    expect(first).toMatch(/retry-after: 5\r\n/);
    expect(others).toEqual(['', '', '', '']);
  });

  it('keep what came of a resumable one that makes room', async () => {
    const [many, other] = [await app.register(), await app.register()];
    const first = await holdPart(many, 5 * MEBIBYTE);
    const pieces = async () => store.bucket.keys('uploads/');
    await eventually(pieces, ({ length }) => length === 1);
    for (let n = 1; n < PER_ACCOUNT; n += 1) await holdPart(many, 1_000);
    const leased = () =>
      app.database.query('select 1 from resumable_uploads where lease_id is not null');
    expect(await eventually(leased, ({ length }) => length === PER_ACCOUNT)).toHaveLength(3);
    for (const account of [await app.register(), await app.register()]) holdForm(account);
    await underWay(2);
    await upload(other).expect(202);
    const answer = await eventually(
      async () => first.received(),
      (text) => text !== '',
    );
    expect(answer).toMatch(/^HTTP\/1.1 204 /);
    expect(Number(/upload-offset: (\d+)/.exec(answer)?.[1])).toBeGreaterThan(4 * MEBIBYTE);
  });

  it('have asked nothing of the store before they are whole, and leave nothing when they end', async () => {
    const asked = () => store.count('PutObject') + store.count('CreateMultipartUpload');
    const before = asked();
    const { socket } = holdForm(await app.register(), 6 * MEBIBYTE);
    await underWay(1);
    await sleep(500);
    expect(asked()).toBe(before);
    socket.destroy();
    expect(await eventually(leftovers, (names) => names.length === 0)).toEqual([]);
    expect(asked()).toBe(before);
  });
});

describe('a client that waits for its turn and sends nothing', () => {
  it('is there no longer than one that has its turn at once', async () => {
    const variables = { UPLOAD_IDLE_TIMEOUT_MS: '5000', UPLOADS_PER_ACCOUNT: '1' };
    const strict = await TestingApp.start({ worker: false, variables });
    try {
      const owner = await strict.register();
      const from = performance.now();
      const both = [holdForm(owner, 1_000, strict.url), holdForm(owner, 1_000, strict.url)];
      const answers = await eventually(
        async () => both.map(({ received }) => received().slice(0, 12)),
        (all) => all.every((answer) => answer !== ''),
      );
      expect(answers).toEqual(['HTTP/1.1 408', 'HTTP/1.1 408']);
      expect(performance.now() - from).toBeLessThan(9_000);
    } finally {
      await strict.close();
    }
  });
});

describe('a client that has sent all', () => {
  it('is not blamed for a store that takes its time', async () => {
    const variables = { ...store.variables, UPLOAD_IDLE_TIMEOUT_MS: '2000' };
    const impatient = await TestingApp.start({ worker: false, variables });
    const owner = await impatient.register();
    store.faults.add({ on: 'PutObject', delayMs: 4_000, times: 1 });
    const answer = impatient.as(owner).post('/api/v1/images/upload').attach('image', picture, 'x');
    expect((await answer).status).toBe(202);
    // What it stored is nothing that the other application knows.
    for (const key of store.bucket.keys('images/')) {
      if (key.includes(owner.userId)) store.bucket.objects.delete(key);
    }
    await impatient.close();
  });
});
