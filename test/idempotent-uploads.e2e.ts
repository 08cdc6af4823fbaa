import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RequestContext } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Idempotency } from '../src/core/http/idempotency.js';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import { removalsOf, startWithPicture, storedFiles } from './image-requests.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let owner: Account;
let stranger: Account;
let picture: Buffer;

beforeAll(async () => {
  ({ app, owner, stranger, picture } = await startWithPicture());
});

afterAll(() => app.close());

/** Runs something of the API outside a request. */
function inContext<T>(work: () => Promise<T>): Promise<T> {
  return RequestContext.create(app.app.get(EntityManager), work);
}

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
      () => removalsOf(app, account),
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
