import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { gifExtension, inserted, pngChunk, segment } from '../container-parts.js';
import { storedFiles, uploadPicture } from '../image-requests.js';
import { drawing, makeEveryKind } from '../pictures.js';
import { type Account, TestingApp } from '../testing-app.js';
import { servedFiles } from './served-files.js';

let app: TestingApp;
/** Whose pictures are taken. */
let account: Account;
/** Whose files are all refused. */
let refused: Account;
let kinds: Record<string, Buffer>;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { IMAGE_AVIF: 'true' } });
  [account, refused] = await Promise.all([app.register(), app.register()]);
  kinds = await makeEveryKind();
});

afterAll(() => app.close());

afterEach(async () => {
  const rows = await app.database.query('select 1 from images where user_id = $1', [
    refused.userId,
  ]);
  expect([rows, await storedFiles(app, refused)]).toEqual([[], []]);
});

const MARK = 'HOSTILE-7f3a';

/** What is glued to pictures: each carries the mark, and runs somewhere when it is served as it is. */
const PAYLOADS: Record<string, Buffer> = {
  'an HTML page': Buffer.from(`<!doctype html><html><script>alert('${MARK}')</script></html>`),
  'a zip archive': Buffer.concat([
    Buffer.from('PK\u0003\u0004\u0014\0\0\0\0\0', 'latin1'),
    Buffer.from(`META-INF/${MARK}`),
    Buffer.from('PK\u0005\u0006' + '\0'.repeat(18), 'latin1'),
  ]),
  'a PHP script': Buffer.from(`<?php system('${MARK}'); ?>`),
  'a shell script': Buffer.from(`#!/bin/sh\necho ${MARK}\n`),
  'a PDF': Buffer.from(`%PDF-1.7\n1 0 obj<</JS(${MARK})>>endobj\n%%EOF`),
};

describe('a picture with something else behind it', () => {
  it.each(Object.entries(PAYLOADS))('is taken, and served without %s', async (_name, payload) => {
    for (const [kind, file] of Object.entries(kinds)) {
      await expectServedWithout(payload, Buffer.concat([file, payload]), kind);
    }
  });
});

describe('a picture with something else before it', () => {
  it.each(Object.entries(PAYLOADS))('is refused: %s', async (_name, payload) => {
    for (const [kind, file] of Object.entries(kinds)) {
      const answer = await uploadPicture(app, refused, Buffer.concat([payload, file]));
      expect([kind, answer.status, answer.body.code]).toEqual([kind, 415, 'unsupported-type']);
    }
  });
});

describe('a picture with a script inside its metadata', () => {
  const script = PAYLOADS['an HTML page']!;
  const text = script.toString('latin1');
  const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/">${text}</x:xmpmeta>`;
  const cases: [string, () => Promise<Buffer>][] = [
    [
      'the comment of a JPEG',
      async () => inserted(kinds['baseline JPEG']!, 2, segment(0xfe, script)),
    ],
    [
      'a text of a PNG',
      async () => inserted(kinds['PNG']!, 33, pngChunk('tEXt', Buffer.from(`Comment\0${text}`))),
    ],
    [
      'a comment of a GIF',
      async () => inserted(kinds['GIF']!, kinds['GIF']!.length - 1, gifExtension(0xfe, text)),
    ],
    ['the XMP of a WebP', () => drawing().withXmp(xmp).webp().toBuffer()],
    ['the XMP of an AVIF', () => drawing().withXmp(xmp).avif({ effort: 0 }).toBuffer()],
  ];

  it.each(cases)('is served without it: %s', async (name, make) => {
    await expectServedWithout(script, await make(), name);
  });
});

describe('what is no picture but is named like one', () => {
  it.each([
    ['SVG', `<svg xmlns="http://www.w3.org/2000/svg"><script>${MARK}</script></svg>`],
    ['SVG with a prologue', `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`],
    [
      'SVG with an external entity',
      `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>`,
    ],
    ['HTML', `<html><body>${MARK}</body></html>`],
    ['a script', `alert('${MARK}')`],
    ['PDF', `%PDF-1.7 ${MARK}`],
    ['PostScript', `%!PS-Adobe-3.0 ${MARK}`],
    ['ImageMagick vector graphics', `push graphic-context\nfill 'url(https://x/${MARK})'`],
    ['TIFF', `II*\0\u0008\0\0\0${MARK}`],
    ['BMP', `BM\0\0\0\0\0\0\0\0\u0036\0\0\0${MARK}`],
    ['JPEG 2000', `\0\0\0\u000cjP  \r\n\u0087\n${MARK}`],
    ['an MP4 film', `\0\0\0\u0018ftypisom\0\0\0\0isommp42${MARK}`],
    ['a GIF by its first letters', `GIF8${MARK}`],
  ])('is refused: %s', async (_name, content) => {
    const file = Buffer.from(content, 'latin1');
    const request = app.as(refused).post('/api/v1/images/upload?wait=30');
    const answer = await request.attach('image', file, {
      filename: 'x.jpg',
      contentType: 'image/jpeg',
    });
    expect([answer.status, answer.body.code]).toEqual([415, 'unsupported-type']);
  });
});

/** That a file becomes an image, and that no part of the payload is in anything that is served. */
async function expectServedWithout(payload: Buffer, file: Buffer, name: string): Promise<void> {
  expect([name, file.includes(payload)]).toEqual([name, true]);
  const { status, body } = await uploadPicture(app, account, file);
  expect([name, status, body.status]).toEqual([name, 201, 'COMPLETED']);
  const served = await servedFiles(app, account, body.id);
  expect([name, served.length]).toEqual([name, 8]);
  const left = shredsOf(payload).filter((shred) =>
    served.some(({ bytes }) => bytes.includes(shred)),
  );
  expect([name, left.map(String)]).toEqual([name, []]);
}

/** All parts of eight bytes, but for those of few different ones, which are in many files. */
function shredsOf(payload: Buffer): Buffer[] {
  const starts = Array.from({ length: payload.length - 7 }, (_, at) => at);
  return starts
    .map((at) => payload.subarray(at, at + 8))
    .filter((shred) => new Set(shred).size > 3);
}
