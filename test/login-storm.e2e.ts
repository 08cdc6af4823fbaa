import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { byStatus, signIn } from './guesses.js';
import { uploadPicture } from './image-requests.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

const STORM = 120;

let app: TestingApp;
let account: Account;
let path: string;
let api: ProductProcess;
let url: string;

beforeAll(async () => {
  app = await TestingApp.start();
  account = await app.register();
  const { body } = await uploadPicture(app, account, await makePicture());
  path = `/api/v1/images/${body.id}/file?size=thumbnail`;
  await app.worker?.stop();
  // By itself: here it would share its event loop with all who send.
  ({ api, url } = await ProductProcess.startApi(app.variables));
});

afterAll(async () => {
  await api.kill();
  await app.close();
});

it('a storm of sign-ins takes no thread from who needs files, and is answered to the last', async () => {
  let answered = 0;
  const first = Promise.withResolvers<undefined>();
  const storm = Array.from({ length: STORM }, async () => {
    const answer = await signIn(url, account);
    answered += 1;
    first.resolve(undefined);
    return answer;
  });
  await first.promise;
  const headers = { authorization: `Bearer ${account.token}` };
  const file = await fetch(url + path, { headers });
  expect([file.status, file.headers.get('content-type')]).toEqual([200, 'image/webp']);
  await file.arrayBuffer();
  const before = answered;
  // Behind all that is to be hashed it would be among the last.
  expect(before).toBeLessThan(STORM * 0.75);
  // On a slow machine some wait for too long, and are told to come again.
  const { 200: right = 0, 503: later = 0 } = byStatus(await Promise.all(storm));
  expect(right + later).toBe(STORM);
});
