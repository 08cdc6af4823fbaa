import { PassThrough, type Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { eventually } from '../../../test/eventually.js';
import { S3ObjectStream } from './s3-object-stream.js';

const CONTENT = Buffer.alloc(600_000, 'content ');
const WHOLE = { start: 0, end: CONTENT.length - 1 };

/** A connection that carries some bytes and then breaks, when it is told to. */
function connection(start: number, end: number): PassThrough {
  const body = new PassThrough({ highWaterMark: CONTENT.length });
  body.write(CONTENT.subarray(start, end));
  return body;
}

function ended(start: number): Readable {
  const body = connection(start, CONTENT.length);
  body.end();
  return body;
}

it('opens the object again only when its reader goes on', async () => {
  const first = connection(0, 300_000);
  const opened: number[] = [];
  const stream = new S3ObjectStream(first, WHOLE, async ({ start }) => {
    opened.push(start);
    return ended(start);
  });
  // Fills the stream's buffer, which nobody empties yet.
  stream.read(0);
  await sleep(20);
  first.destroy(new Error('timed out'));
  await sleep(400);
  expect(opened).toEqual([]);

  expect((await buffer(stream)).equals(CONTENT)).toBe(true);
  expect(opened).toHaveLength(1);
});

it('closes what it opens for a reader that has gone meanwhile', async () => {
  const first = connection(0, 1_000);
  const opened: Readable[] = [];
  const stream = new S3ObjectStream(first, WHOLE, async ({ start }) => {
    await sleep(100);
    opened.push(ended(start));
    return opened[0]!;
  });
  stream.on('error', () => undefined).resume();
  await sleep(10);
  first.destroy();
  await sleep(150);
  stream.destroy();
  await eventually(
    async () => opened[0]?.destroyed === true,
    (isClosed) => isClosed,
  );
  expect(opened[0]?.destroyed).toBe(true);
});

it('fails when more bytes come than there are to be', async () => {
  const range = { start: 0, end: 999 };
  const stream = new S3ObjectStream(ended(0), range, () => Promise.reject(new Error('never')));
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'IncompleteAnswer' });
  expect(stream.bytesRead).toBeLessThanOrEqual(1_000);
});

it('tells how many bytes came, of whatever part was asked for', async () => {
  const range = { start: 1_000, end: 4_999 };
  const body = connection(1_000, 3_500);
  const stream = new S3ObjectStream(body, range, () => Promise.reject(new Error('never')));
  expect(stream.bytesRead).toBe(0);
  stream.once('data', () => stream.destroy());
  await new Promise((resolve) => stream.once('close', resolve));
  expect(stream.bytesRead).toBe(2_500);
});
