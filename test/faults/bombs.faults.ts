import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import supertest from 'supertest';
import { cpuMsOfTree } from '../../bench/process-usage.js';
import { makePicture } from '../pictures.js';
import { ProductProcess } from '../product-process.js';
import { type Account, TestingApp } from '../testing-app.js';
import { gifOfFrames, jpegClaiming, MEBIBYTE, pngWith, webpClaiming, widePng } from '../bombs.js';
import { watchMemory } from './memory.js';

const MAX_RISE = 100 * MEBIBYTE;
/** What it may cost in CPU time, in milliseconds. */
const MAX_CPU_MS = 1_000;

let app: TestingApp;
let api: ProductProcess;
let url: string;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start();
  account = await app.register();
  ({ api, url } = await ProductProcess.startApi(app.variables));
  // What comes after is measured against processes that have done this before.
  for (let n = 0; n < 6; n += 1) await upload(await makePicture({ width: 1200, height: 900 }));
});

afterAll(async () => {
  await api.kill();
  await app.close();
});

function upload(file: Buffer) {
  return supertest(url)
    .post('/api/v1/images/upload?force=true')
    .set('authorization', `Bearer ${account.token}`)
    .set('prefer', 'wait=30')
    .attach('image', file, 'x');
}

describe('a file that asks for too much', () => {
  const sound = () => makePicture({ width: 64, height: 48 });
  const cases: [string, () => Promise<Buffer>, string][] = [
    ['a PNG of 400 megapixels', async () => widePng(20_000, 20_000), 'too-many-pixels'],
    [
      'a JPEG header of 65,535²',
      async () => jpegClaiming(await sound(), 65_535, 65_535),
      'too-many-pixels',
    ],
    ['a WebP canvas of 16,384²', async () => webpClaiming(16_384, 16_384), 'too-many-pixels'],
    ['a GIF of 10,000 frames', async () => gifOfFrames(10_000), 'too-many-frames'],
    ['a GIF of 61 frames', async () => gifOfFrames(61), 'too-many-frames'],
    ['a GIF of 50 frames on 1,001²', async () => gifOfFrames(50, 1_001, 1_001), 'too-many-pixels'],
  ];

  it.each(cases)('is refused at once, and takes no memory: %s', async (_name, make, code) => {
    const file = await make();
    const rises = [api, app.worker!].map(({ pid }) => watchMemory(pid));
    const cpuMs = () => [api, app.worker!].reduce((sum, { pid }) => sum + cpuMsOfTree(pid), 0);
    const before = cpuMs();
    const answer = await upload(file);
    expect(cpuMs() - before).toBeLessThan(MAX_CPU_MS);
    expect([answer.status, answer.body.code]).toEqual([422, code]);
    for (const rise of rises) expect(rise()).toBeLessThan(MAX_RISE);
  });

  it.each(cases.slice(0, 3))(
    'is refused by its first bytes, while the rest is still to come: %s',
    async (_name, make, code) => {
      const file = await make();
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      socket.write(
        `POST /upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${account.token}\r\n` +
          'content-type: multipart/form-data; boundary=b\r\ncontent-length: 9999999\r\n\r\n' +
          '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n',
      );
      // Some of it is taken as the signature before anything is looked at.
      socket.write(
        Buffer.concat([file.subarray(0, 1_000), Buffer.alloc(Math.max(0, 1_000 - file.length))]),
      );
      const [answer] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      expect(String(answer)).toContain(`"code":"${code}"`);
    },
  );
});

describe('a file with a bomb in its metadata', () => {
  it.each(['zTXt', 'iTXt', 'iCCP'] as const)('is harmless: %s', async (type) => {
    const file = pngWith(
      type,
      await makePicture({ width: 64, height: 48, format: 'png' }),
      200 * MEBIBYTE,
    );
    const rises = [api, app.worker!].map(({ pid }) => watchMemory(pid));
    const { body } = await upload(file);
    expect(body.status).toBe('COMPLETED');
    for (const rise of rises) expect(rise()).toBeLessThan(MAX_RISE);
  });
});
