import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { ImageQueries } from '../src/images/image.queries.js';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

/** A wait looks again after a second. */
const SEVERAL_LOOKS_MS = 3_500;

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
});

afterAll(() => app.close());

it('a client that does not wait for the answer any more is not waited for', async () => {
  const find = jest.spyOn(app.app.get(ImageQueries), 'find');
  const form = new FormData();
  form.set('image', new Blob([new Uint8Array(await makePicture())]));
  const client = new AbortController();
  const upload = fetch(`${app.url}/api/v1/images/upload?wait=30`, {
    method: 'POST',
    headers: { authorization: `Bearer ${account.token}` },
    body: form,
    signal: client.signal,
  });
  // The second look tells that the upload is taken, and waits.
  await eventually(
    async () => find.mock.calls.length,
    (looks) => looks >= 2,
  );
  client.abort();
  await expect(upload).rejects.toThrow('aborted');
  // One may be under way.
  await sleep(SEVERAL_LOOKS_MS);
  const looks = find.mock.calls.length;
  await sleep(SEVERAL_LOOKS_MS);
  expect(find.mock.calls).toHaveLength(looks);
  find.mockRestore();
});
