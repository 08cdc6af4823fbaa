import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RequestContext } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { newId } from '../src/core/ids.js';
import { ResumableCompletion } from '../src/images/resumable/resumable-completion.js';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { S3Server } from './s3/s3-server.js';
import { type Account, TestingApp } from './testing-app.js';

/** More than one piece, so that some is stored before a request ends. */
const MEBIBYTE = 1024 * 1024;

let store: S3Server;
let here: TestingApp;
/** Another machine: the same database and bucket, and a disk of its own. */
let there: string;
let otherDisk: string;
let otherApi: ProductProcess;
let owner: Account;
let picture: Buffer;

beforeAll(async () => {
  store = await S3Server.start({ pageSize: 2 });
  here = await TestingApp.start({ worker: false, variables: store.variables });
  otherDisk = await mkdtemp(join(tmpdir(), 'atelier-other-'));
  await startOther();
  owner = await here.register();
  // Noise does not compress: some nine megabytes.
  picture = await makePicture({ width: 3_000, height: 2_000, format: 'png' });
  expect(picture.length).toBeGreaterThan(6 * MEBIBYTE);
});

afterEach(() => {
  store.faults.clear();
});

afterAll(async () => {
  await otherApi.stop();
  await here.close();
  await rm(otherDisk, { recursive: true });
  await store.close();
});

async function startOther(): Promise<void> {
  const variables = { ...here.variables, DATA_DIR: otherDisk };
  ({ api: otherApi, url: there } = await ProductProcess.startApi(variables));
}

const signedIn = () => ({ authorization: `Bearer ${owner.token}`, 'tus-resumable': '1.0.0' });

async function create(): Promise<string> {
  const answer = await fetch(`${here.url}/api/v1/images/uploads`, {
    method: 'POST',
    headers: { ...signedIn(), 'upload-length': String(picture.length) },
  });
  expect(answer.status).toBe(201);
  return new URL(answer.headers.get('location') ?? '', here.url).pathname;
}

function partHeaders(offset: number) {
  return {
    ...signedIn(),
    'content-type': 'application/offset+octet-stream',
    'upload-offset': String(offset),
  };
}

function send(api: string, path: string, offset: number, body: Buffer): Promise<Response> {
  return fetch(api + path, { method: 'PATCH', headers: partHeaders(offset), body });
}

async function offsetAt(api: string, path: string): Promise<number> {
  const answer = await fetch(api + path, { method: 'HEAD', headers: signedIn() });
  return Number(answer.headers.get('upload-offset'));
}

function pieces(path: string): string[] {
  return store.bucket.keys(`uploads/${path.split('/').at(-1) ?? ''}/`);
}

/** Begins a part that does not end; what was stored of it is waited for. */
async function beginPart(api: string, path: string, bytes: number) {
  const headers = { ...partHeaders(0), 'content-length': picture.length };
  const call = request(api + path, { method: 'PATCH', headers });
  call.on('error', () => undefined);
  call.write(picture.subarray(0, bytes));
  await eventually(
    async () => pieces(path).length,
    (count) => count === 1,
  );
  return call;
}

/** The image that came of an upload is of the very bytes that were sent. */
async function expectWhole({ headers }: Response): Promise<void> {
  const [image] = await here.database.query<{ checksum: string }>(
    'select checksum from images where id = $1',
    [headers.get('atelier-image-id')],
  );
  expect(image?.checksum).toBe(createHash('sha256').update(picture).digest('hex'));
}

describe('a resumable upload whose bytes are in a bucket', () => {
  it('goes from machine to machine, and is on the disk of none', async () => {
    const path = await create();
    const [third, most] = [Math.floor(picture.length / 3), picture.length - 1_000];
    expect((await send(here.url, path, 0, picture.subarray(0, third))).status).toBe(204);
    expect(await offsetAt(there, path)).toBe(third);
    expect((await send(there, path, third, picture.subarray(third, most))).status).toBe(204);
    expect(pieces(path).length).toBeGreaterThan(2);
    const last = await send(here.url, path, most, picture.subarray(most));
    expect(last.status).toBe(204);

    await expectWhole(last);
    expect(pieces(path)).toEqual([]);
    for (const disk of [here.variables['DATA_DIR'] ?? '', otherDisk]) {
      expect(await readdir(disk)).not.toContain('uploads');
    }
  });

  it('keeps what came when its connection breaks', async () => {
    const path = await create();
    const call = await beginPart(here.url, path, 5 * MEBIBYTE);
    call.destroy();
    // The last bytes go that Node had read, and nobody had taken, when it found the connection broken.
    const least = 5 * MEBIBYTE - 256 * 1024;
    const offset = await eventually(
      () => offsetAt(there, path),
      (offset) => offset >= least,
    );
    expect(offset).toBeGreaterThanOrEqual(least);
    expect(offset).toBeLessThanOrEqual(5 * MEBIBYTE);
    expect((await send(there, path, offset, picture.subarray(offset))).status).toBe(204);
  });

  it('goes on elsewhere when its machine was killed', async () => {
    const path = await create();
    await beginPart(there, path, 5 * MEBIBYTE);
    await otherApi.kill();
    const offset = await offsetAt(here.url, path);
    expect(offset).toBeGreaterThanOrEqual(4 * MEBIBYTE);
    const rest = await eventually(
      () => send(here.url, path, offset, picture.subarray(offset)),
      ({ status }) => status !== 423,
    );
    expect(rest.status).toBe(204);
    await startOther();
  });

  it('keeps nothing of a part that goes on past its end', async () => {
    const path = await create();
    const first = picture.subarray(0, 1_000);
    await send(here.url, path, 0, first);
    const surplus = Buffer.concat([picture, Buffer.alloc(10)]);
    const call = request(here.url + path, { method: 'PATCH', headers: partHeaders(1_000) });
    const status = new Promise((resolve) => {
      call.on('response', ({ statusCode }) => {
        resolve(statusCode);
      });
    });
    call.on('error', () => undefined);
    // Without a length, so that only counting shows it.
    for (let at = 1_000; at < surplus.length; at += MEBIBYTE) {
      call.write(surplus.subarray(at, at + MEBIBYTE));
    }
    call.end();
    expect(await status).toBe(413);
    expect(await offsetAt(there, path)).toBe(1_000);
    expect(pieces(path)).toHaveLength(1);
    await fetch(here.url + path, { method: 'DELETE', headers: signedIn() });
    expect(pieces(path)).toEqual([]);
  });

  it('falls back to the first byte that is not there', async () => {
    const path = await create();
    const parts = [0, 1_000, 2_000, 3_000];
    for (const at of parts) await send(here.url, path, at, picture.subarray(at, at + 1_000));
    // As when a slow process has put a shorter piece in the place of a longer one.
    const [, second = ''] = pieces(path);
    store.bucket.put(second, picture.subarray(1_000, 1_400), {});
    expect(await offsetAt(there, path)).toBe(1_400);
    expect((await send(there, path, 1_400, picture.subarray(1_400, 2_500))).status).toBe(204);
    // What overlaps counts once.
    expect(await offsetAt(there, path)).toBe(4_000);
    const last = await send(there, path, 4_000, picture.subarray(4_000));
    expect(last.status).toBe(204);
    await expectWhole(last);
  });

  it('outlives a store that fails, and is not blamed for it', async () => {
    const path = await create();
    store.faults.add({ on: 'PutObject', fail: 'InternalError' });
    expect((await send(here.url, path, 0, picture.subarray(0, 1_000))).status).toBe(503);
    store.faults.clear();
    expect(await offsetAt(here.url, path)).toBe(0);

    store.faults.add({ on: 'GetObject', fail: 'InternalError' });
    const unread = await send(here.url, path, 0, picture);
    expect(unread.status).toBe(503);
    store.faults.clear();
    const settled = await fetch(here.url + path, { method: 'HEAD', headers: signedIn() });
    expect([settled.status, settled.headers.get('upload-offset')]).toEqual([
      200,
      String(picture.length),
    ]);
  });

  it('leaves nothing when nobody knows it any more', async () => {
    const path = await create();
    await send(here.url, path, 0, picture.subarray(0, 1_000));
    const unknown = newId();
    store.bucket.put(`uploads/${unknown}/000000000000.part`, Buffer.from('x'), {});
    await here.database.query('delete from resumable_uploads where id = $1', [
      path.split('/').at(-1),
    ]);
    const em = here.app.get(EntityManager);
    const sweep = () => here.app.get(ResumableCompletion).sweep();
    expect(await RequestContext.create(em, sweep)).toBe(2);
    expect(store.bucket.keys('uploads/')).toEqual([]);
  });
});
