import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Response } from 'supertest';
import { newId } from '../src/core/ids.js';
import { FileUrlSigner } from '../src/storage/signed-url.js';
import { Storage } from '../src/storage/storage.js';
import { imageKey } from '../src/storage/storage-key.js';
import { eventually } from './eventually.js';
import type { KeptFiles } from './kept-files.js';
import { TestingApp } from './testing-app.js';

const CONTENT = randomBytes(100_000);

/** More than any number of JavaScript tells apart. */
const HUGE = '9'.repeat(30);

let kept: KeptFiles;
let app: TestingApp;
let storage: Storage;
let signer: FileUrlSigner;
let key: string;
let link: string;

function newKey(variant = 'large', ext = 'webp'): string {
  return imageKey({ userId: newId(), epochMs: Date.now(), imageId: newId(), variant, ext });
}

async function store(content: Buffer, key = newKey()): Promise<string> {
  await storage.uploadBuffer(key, content);
  return key;
}

function secondsFromNow(seconds: number): number {
  return Math.floor(Date.now() / 1_000) + seconds;
}

/** A signed link, without the origin. */
function pathTo(key: string, expires: number | 'never' = secondsFromNow(900)): string {
  return signer.url(key, expires).slice(app.url.length);
}

function get(path: string, headers: Record<string, string | undefined> = {}) {
  return app.http
    .get(path)
    .set(headers as Record<string, string>)
    .buffer(true)
    .parse(asBuffer);
}

/** supertest would read a picture as text. */
function asBuffer(answer: Response, done: (error: Error | null, body: Buffer) => void): void {
  buffer(answer as unknown as Readable).then(
    (body) => {
      done(null, body);
    },
    (error: unknown) => {
      done(error as Error, Buffer.alloc(0));
    },
  );
}

/** The problem of a refusal whose body was read as bytes. */
function problemOf({ body }: { body: Buffer }): { code: string } {
  return JSON.parse(String(body)) as { code: string };
}

function openFiles(): Promise<number> {
  return kept.openFiles(app);
}

async function expectNothingOpen(): Promise<void> {
  expect(await eventually(openFiles, (files) => files === 0)).toBe(0);
}

/** How files are served, whatever keeps them. Once in each test file. */
export function describeFiles(name: string, make: () => Promise<KeptFiles>): void {
  describe(`files in ${name} storage`, () => {
    beforeAll(async () => {
      kept = await make();
      app = await TestingApp.start({
        worker: false,
        variables: { CORS_ORIGINS: 'https://app.example.com', ...kept.variables },
      });
      storage = app.app.get(Storage);
      signer = app.app.get(FileUrlSigner);
      key = await store(CONTENT);
      link = pathTo(key);
    });

    afterAll(async () => {
      await app.close();
      await kept.close();
    });
    afterEach(() => {
      jest.restoreAllMocks();
    });

    describe('a stored file', () => {
      it('comes whole, with all that a client or a cache wants to know', async () => {
        const answer = await get(link).expect(200);

        expect(answer.body.equals(CONTENT)).toBe(true);
        const { lastModified } = await storage.head(key);
        expect(answer.headers).toMatchObject({
          'content-type': 'image/webp',
          'content-length': String(CONTENT.length),
          'accept-ranges': 'bytes',
          etag: expect.stringMatching(/^"[\w-]{22}"$/),
          'last-modified': lastModified.toUTCString(),
          'content-disposition': `inline; filename="${key.split('/').slice(2).join('-')}"`,
          'x-content-type-options': 'nosniff',
          'cross-origin-resource-policy': 'cross-origin',
        });
        expect(answer.headers).not.toHaveProperty('content-range');
        expect(answer.headers).not.toHaveProperty('transfer-encoding');
      });

      it.each([
        ['jpg', 'image/jpeg'],
        ['png', 'image/png'],
        ['html', 'application/octet-stream'],
        ['svg', 'application/octet-stream'],
      ])('called .%s is %s, and runs nothing when it is opened as a page', async (ext, type) => {
        const content = Buffer.from('<script>alert(1)</script>');
        const answer = await get(pathTo(await store(content, newKey('original', ext)))).expect(200);

        expect(answer.headers['content-type']).toBe(type);
        expect(answer.headers['x-content-type-options']).toBe('nosniff');
        const policy = answer.headers['content-security-policy'];
        expect(policy).toMatch(/^default-src 'none';/);
        expect(policy).toMatch(/; sandbox$/);
        expect(policy).not.toContain('script');
      });

      it('that is empty comes as nothing, and has no ranges', async () => {
        const empty = pathTo(await store(Buffer.alloc(0)));
        const answer = await get(empty).expect(200);
        expect(answer.headers['content-length']).toBe('0');
        expect(answer.body).toHaveLength(0);

        for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) {
          const refused = await get(empty, { range }).expect(416);
          expect(refused.headers['content-range']).toBe('bytes */0');
        }
        await app.http.head(empty).expect(200).expect('content-length', '0');
        await expectNothingOpen();
      });

      it('that has gone is not found, whatever is asked of it', async () => {
        const gone = await store(CONTENT);
        const { etag = '' } = (await get(pathTo(gone))).headers as { etag?: string };
        await storage.delete(gone);

        for (const headers of [{}, { range: 'bytes=0-1' }, { 'if-none-match': etag }]) {
          expect(problemOf(await get(pathTo(gone), headers).expect(404)).code).toBe('not-found');
        }
        const head = await app.http.head(pathTo(gone)).expect(404);
        expect(head.headers).not.toHaveProperty('etag');
      });

      it('that goes between being looked at and being opened is not found, with no trace of it', async () => {
        const gone = await store(CONTENT);
        const head = storage.head.bind(storage);
        jest.spyOn(storage, 'head').mockImplementation(async (asked) => {
          const known = await head(asked);
          await storage.delete(asked);
          return known;
        });
        const answer = await get(pathTo(gone)).expect(404);
        expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
        expect(answer.headers['cache-control']).toBe('no-store');
        for (const name of ['etag', 'last-modified', 'content-disposition', 'accept-ranges']) {
          expect(answer.headers).not.toHaveProperty(name);
        }
      });

      it('can be shown on a page of another site, and be read by the pages of ours', async () => {
        const elsewhere = await get(link, { origin: 'https://elsewhere.example' }).expect(200);
        expect(elsewhere.headers['cross-origin-resource-policy']).toBe('cross-origin');
        const ours = await get(link, { origin: 'https://app.example.com' }).expect(200);
        expect(ours.headers['access-control-allow-origin']).toBe('https://app.example.com');
        expect(ours.headers['vary']).toMatch(/\borigin\b/i);
        const readable = ours.headers['access-control-expose-headers']?.split(', ');
        expect(readable).toEqual(
          expect.arrayContaining(['accept-ranges', 'content-range', 'etag']),
        );
      });
    });

    describe('HEAD', () => {
      it('answers the headers of GET and opens nothing', async () => {
        const { headers: whole } = await get(link).expect(200);
        const opened = jest.spyOn(storage, 'get');
        const { headers } = await app.http.head(link).expect(200);

        const own = ['date', 'x-request-id'];
        for (const name of own) expect(whole).toHaveProperty(name);
        expect(
          Object.fromEntries(Object.entries(headers).filter(([name]) => !own.includes(name))),
        ).toEqual(
          Object.fromEntries(Object.entries(whole).filter(([name]) => !own.includes(name))),
        );
        expect(opened).not.toHaveBeenCalled();
      });

      it('passes over Range', async () => {
        for (const range of ['bytes=0-1', 'bytes=999999999-']) {
          const { headers } = await app.http.head(link).set('range', range).expect(200);
          expect(headers['content-length']).toBe(String(CONTENT.length));
          expect(headers).not.toHaveProperty('content-range');
        }
      });

      it('answers 304 and 412 as GET does, without a length that would be wrong', async () => {
        const etag = (await app.http.head(link)).headers['etag'] ?? '';
        const cached = await app.http.head(link).set('if-none-match', etag).expect(304);
        expect(cached.headers['etag']).toBe(etag);
        expect(cached.headers).not.toHaveProperty('content-length');
        await app.http.head(link).set('if-match', '"other"').expect(412);
      });

      it('sends no byte after its headers', async () => {
        const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
        socket.write(`HEAD ${link} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
        expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\n$/);
      });
    });

    describe('a client that has the file already', () => {
      let etag: string;
      let lastModified: string;

      beforeAll(async () => {
        ({ etag, 'last-modified': lastModified } = (await get(link)).headers as never);
      });

      it.each([
        ['by its tag', () => ({ 'if-none-match': `"other", W/${etag}` })],
        ['by its date', () => ({ 'if-modified-since': lastModified })],
        ['also when it asks for a range', () => ({ 'if-none-match': etag, range: 'bytes=0-1' })],
        [
          'also when it asks for a range past the end',
          () => ({ 'if-none-match': etag, range: 'bytes=999999-' }),
        ],
      ])('is told so, %s, and nothing is opened', async (_name, headers) => {
        const opened = jest.spyOn(storage, 'get');
        const answer = await get(link, headers()).expect(304);

        expect(answer.body).toHaveLength(0);
        expect(answer.headers).toMatchObject({
          etag,
          'last-modified': lastModified,
          'cache-control': expect.stringMatching(/^private, max-age=\d+, immutable$/),
        });
        for (const name of [
          'content-length',
          'content-type',
          'content-range',
          'transfer-encoding',
        ]) {
          expect(answer.headers).not.toHaveProperty(name);
        }
        expect(opened).not.toHaveBeenCalled();
      });

      it.each([
        ['a tag of another file', () => ({ 'if-none-match': '"other"' })],
        [
          'a tag that outweighs the date',
          () => ({ 'if-none-match': '"other"', 'if-modified-since': lastModified }),
        ],
        ['a date before the file’s', () => ({ 'if-modified-since': new Date(0).toUTCString() })],
        ['a date that is none', () => ({ 'if-modified-since': 'tomorrow' })],
      ])('is one only by what is the file’s own: not by %s', async (_name, headers) => {
        await get(link, headers()).expect(200);
      });

      it.each([
        ['If-Match names another file', () => ({ 'if-match': '"other"' })],
        ['If-Match is weak', () => ({ 'if-match': `W/${etag}` })],
        ['the file is newer', () => ({ 'if-unmodified-since': new Date(0).toUTCString() })],
      ])('and wants no other one is refused when %s', async (_name, headers) => {
        const answer = await get(link, headers()).expect(412);
        expect(problemOf(answer).code).toBe('precondition-failed');
        expect(answer.headers).not.toHaveProperty('etag');
        await get(link, { 'if-match': etag, 'if-unmodified-since': lastModified }).expect(200);
      });
    });

    describe('the tag of a file', () => {
      it('is the same under every link, and for another process', async () => {
        const { etag } = (await get(link)).headers;
        expect((await get(pathTo(key, 'never'))).headers['etag']).toBe(etag);

        const other = await TestingApp.start({ worker: false, variables: kept.variables });
        try {
          const theirs = other.app.get(Storage);
          const { lastModified } = await storage.head(key);
          await theirs.uploadBuffer(key, CONTENT);
          await kept.setTime(other, key, lastModified);
          const answer = await other.http.head(
            other.app.get(FileUrlSigner).url(key, 'never').slice(other.url.length),
          );
          expect(answer.headers['etag']).toBe(etag);
        } finally {
          await other.close();
        }
      });

      it('is another one for another key, size or time', async () => {
        const variants: [string, string, number][] = [
          ['large', 'same', 1_000_000_000],
          ['medium', 'same', 1_000_000_000],
          ['large', 'longer', 1_000_000_000],
          ['large', 'same', 1_000_000_001],
        ];
        const parts = { userId: newId(), epochMs: 1, imageId: newId(), ext: 'webp' };
        const tags = new Set<string | undefined>();
        for (const [variant, content, seconds] of variants) {
          const key = await store(Buffer.from(content), imageKey({ ...parts, variant }));
          await kept.setTime(app, key, new Date(seconds * 1_000));
          tags.add((await app.http.head(pathTo(key))).headers['etag']);
        }
        expect(tags.size).toBe(4);
      });
    });

    describe('a range', () => {
      const size = CONTENT.length;

      it.each([
        ['bytes=0-', 0, size],
        ['bytes=0-0', 0, 1],
        ['bytes=10-19', 10, 20],
        [`bytes=${size - 1}-`, size - 1, size],
        ['bytes=-1', size - 1, size],
        ['bytes=-500', size - 500, size],
        [`bytes=-${size + 1}`, 0, size],
        [`bytes=99999-${HUGE}`, 99_999, size],
        [`bytes=-${HUGE}`, 0, size],
      ])('of %s comes as asked', async (range, from, to) => {
        const answer = await get(link, { range }).expect(206);

        expect(answer.headers).toMatchObject({
          'content-range': `bytes ${from}-${to - 1}/${size}`,
          'content-length': String(to - from),
          'content-type': 'image/webp',
          etag: expect.any(String),
          'cache-control': expect.stringContaining('max-age'),
        });
        expect(answer.body.equals(CONTENT.subarray(from, to))).toBe(true);
      });

      it.each([`bytes=${size}-`, 'bytes=-0', `bytes=${HUGE}-`, 'bytes=99999999-99999999999'])(
        'of %s does not exist, and the answer tells the size',
        async (range) => {
          const answer = await get(link, { range }).expect(416);
          expect(problemOf(answer).code).toBe('range-not-satisfiable');
          expect(answer.headers['content-range']).toBe(`bytes */${size}`);
          expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
          expect(answer.headers['cache-control']).toBe('no-store');
          expect(answer.headers).not.toHaveProperty('etag');
        },
      );

      it.each(['bytes=0-1,5-6', 'bytes=5-4', 'bytes=x', 'lines=0-1', 'bytes=0-,0-,0-'])(
        'of %s is passed over',
        async (range) => {
          const answer = await get(link, { range }).expect(200);
          expect(answer.body).toHaveLength(size);
          expect(answer.headers).not.toHaveProperty('content-range');
        },
      );

      it('is cut only from the file that If-Range names', async () => {
        const { etag = '', 'last-modified': date = '' } = (await get(link)).headers as Record<
          string,
          string
        >;
        for (const same of [etag, date]) {
          await get(link, { range: 'bytes=0-1', 'if-range': same }).expect(206);
        }
        for (const other of ['"other"', `W/${etag}`, new Date(0).toUTCString(), 'tomorrow']) {
          await get(link, { range: 'bytes=0-1', 'if-range': other }).expect(200);
          await get(link, { range: 'bytes=999999-', 'if-range': other }).expect(200);
        }
      });

      it('continues a download that broke off', async () => {
        const first = await get(link, { range: 'bytes=0-33332' }).expect(206);
        const rest = { range: 'bytes=33333-', 'if-range': first.headers['etag'] ?? '' };
        const second = await get(link, rest).expect(206);
        expect(Buffer.concat([first.body, second.body]).equals(CONTENT)).toBe(true);
      });

      it('leaves nothing open, whatever comes of it', async () => {
        for (const range of ['bytes=0-1', 'bytes=999999-', 'bytes=0-1,2-3', 'bytes=-1']) {
          await Promise.all(Array.from({ length: 10 }, () => get(link, { range })));
        }
        await expectNothingOpen();
      });
    });

    describe('a link', () => {
      it.each([
        ['lives long', () => secondsFromNow(100_000), 900, 900],
        ['lives shortly', () => secondsFromNow(60), 57, 60],
      ])(
        'that %s keeps the file no longer than it lives, and not in shared caches',
        async (_name, expires, least, most) => {
          const { headers } = await get(pathTo(key, expires())).expect(200);
          const [, seconds] =
            /^private, max-age=(\d+), immutable$/.exec(headers['cache-control'] ?? '') ?? [];
          expect(Number(seconds)).toBeGreaterThanOrEqual(least);
          expect(Number(seconds)).toBeLessThanOrEqual(most);
        },
      );

      it('without an end may lie in shared caches', async () => {
        const { headers } = await get(pathTo(key, 'never')).expect(200);
        expect(headers['cache-control']).toBe('public, max-age=900, immutable');
      });

      it('that is altered, expired, for another key or for none is refused before anything is looked at', async () => {
        const looked = [jest.spyOn(storage, 'head'), jest.spyOn(storage, 'get')];
        const other = await store(CONTENT);
        const [path = '', query = ''] = link.split('?');
        const parameters = new URLSearchParams(query);
        const altered = (name: string, value: string) => {
          const changed = new URLSearchParams(parameters);
          changed.set(name, value);
          return `${path}?${changed.toString()}`;
        };
        for (const address of [
          path,
          `${path}?expires=never`,
          altered('expires', String(secondsFromNow(9_999))),
          altered('expires', 'never'),
          altered('expires', `0${parameters.get('expires')}`),
          altered('signature', 'x'.repeat(43)),
          altered('signature', `${parameters.get('signature')?.slice(0, -1)}`),
          altered('signature', 'x'.repeat(500)),
          `${path}?${query}&expires=${secondsFromNow(9_999)}`,
          `${path}?${query}&signature=${'x'.repeat(43)}`,
          pathTo(key, secondsFromNow(-1)),
          `/api/v1/files/${other}?${query}`,
          `/api/v1/files/${key.replace('large', 'original')}?${query}`,
          `/api/v1/files/${key.replace('images/', 'images//')}?${query}`,
          `/api/v1/files/x%2f..%2f${key}?${query}`,
          `/api/v1/files/..%2f..%2fetc%2fpasswd?${query}`,
          `/api/v1/files/?${query}`,
        ]) {
          for (const headers of [{}, { range: 'bytes=0-1' }, { 'if-none-match': '*' }]) {
            const answer = await get(address, headers);
            expect([address, answer.status]).toEqual([address, 403]);
            expect(problemOf(answer).code).toBe('invalid-signature');
          }
          await app.http.head(address).expect(403);
        }
        for (const spy of looked) expect(spy).not.toHaveBeenCalled();
      });
    });

    describe('a client that goes away', () => {
      /** More than the buffers of two sockets take, so that who does not read holds the file open. */
      const BYTES = 32 * 1024 * 1024;
      let large: string;

      beforeAll(async () => {
        large = pathTo(await store(randomBytes(BYTES)));
      });

      function ask(): Socket {
        const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
        socket.on('error', () => undefined);
        socket.write(`GET ${large} HTTP/1.1\r\nhost: x\r\n\r\n`);
        return socket;
      }

      it('in the middle of a file lets it be closed', async () => {
        const sockets = Array.from({ length: 20 }, ask);
        expect(await eventually(openFiles, (files) => files === sockets.length)).toBe(
          sockets.length,
        );

        for (const socket of sockets) socket.destroy();
        await expectNothingOpen();
      });

      it('leaves nothing open at whatever moment it goes, and others are served on', async () => {
        const opened = jest.spyOn(storage, 'get');
        // On a slow machine more of them go before a file is opened.
        for (let round = 0; round < 8 || opened.mock.calls.length <= 50; round++) {
          const leavings = Array.from({ length: 25 }, async (_, ms) => {
            const socket = ask();
            await sleep(ms);
            socket.destroy();
          });
          await Promise.all(leavings);
        }
        await expectNothingOpen();
        expect((await get(large).expect(200)).body).toHaveLength(BYTES);
      });
    });
  });
}
