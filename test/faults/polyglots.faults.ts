import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uploadPicture } from '../image-requests.js';
import { makeEveryKind } from '../pictures.js';
import { type Account, TestingApp } from '../testing-app.js';
import { servedBytes } from './served-bytes.js';

let app: TestingApp;
let account: Account;
let kinds: Record<string, Buffer>;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { IMAGE_AVIF: 'true' } });
  account = await app.register();
  kinds = await makeEveryKind();
});

afterAll(() => app.close());

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
  it.each(Object.keys(PAYLOADS))('is refused or served without it: %s', async (name) => {
    for (const [kind, file] of Object.entries(kinds)) {
      await expectHarmless(`${kind} + ${name}`, Buffer.concat([file, PAYLOADS[name]!]));
    }
  });
});

describe('a picture with something else before it', () => {
  it.each(Object.keys(PAYLOADS))('is refused: %s', async (name) => {
    for (const file of Object.values(kinds)) {
      const answer = await uploadPicture(app, account, Buffer.concat([PAYLOADS[name]!, file]));
      expect([answer.status, answer.body.code]).toEqual([415, 'unsupported-type']);
    }
  });
});

describe('a picture with a script inside its metadata', () => {
  it('is served without it', async () => {
    const script = PAYLOADS['an HTML page']!;
    const jpeg = kinds['baseline JPEG']!;
    const comment = Buffer.alloc(4);
    comment.writeUInt16BE(0xff_fe, 0);
    comment.writeUInt16BE(script.length + 2, 2);
    await expectHarmless(
      'JPEG comment',
      Buffer.concat([jpeg.subarray(0, 2), comment, script, jpeg.subarray(2)]),
    );
    const gif = kinds['GIF']!;
    const trailer = gif.length - 1;
    const extension = Buffer.concat([
      Buffer.from([0x21, 0xfe, script.length]),
      script,
      Buffer.from([0]),
    ]);
    await expectHarmless(
      'GIF comment',
      Buffer.concat([gif.subarray(0, trailer), extension, gif.subarray(trailer)]),
    );
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
    const request = app.as(account).post('/api/v1/images/upload?wait=30');
    const answer = await request.attach('image', file, {
      filename: 'x.jpg',
      contentType: 'image/jpeg',
    });
    expect([answer.status, answer.body.code]).toEqual([415, 'unsupported-type']);
  });
});

async function expectHarmless(name: string, file: Buffer): Promise<void> {
  expect(file.includes(MARK)).toBe(true);
  const { status, body } = await uploadPicture(app, account, file);
  if (status >= 400) {
    expect([name, status < 500]).toEqual([name, true]);
    return;
  }
  for (const bytes of await servedBytes(app, account, body.id)) {
    expect([name, bytes.includes(MARK)]).toEqual([name, false]);
  }
}
