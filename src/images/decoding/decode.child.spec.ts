import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import sharp from 'sharp';
import { Darkroom, FROM_SOURCES } from '../../../test/decoding.js';
import { type DecodeReply, type DecodeTask } from './variants.js';

let darkroom: Darkroom;
let child: ChildProcess;

beforeAll(async () => {
  darkroom = await Darkroom.open();
});

afterAll(() => darkroom.close());

beforeEach(() => {
  child = fork(new URL('./decode.child.js', import.meta.url), {
    execArgv: FROM_SOURCES,
    serialization: 'advanced',
  });
});

afterEach(() => {
  child.kill('SIGKILL');
});

describe('The decoding child', () => {
  it('answers one task after the other', async () => {
    for (const format of ['jpeg', 'png', 'webp'] as const) {
      const picture = await white()[format]().toBuffer();
      expect(await answerTo(await darkroom.task(picture))).toMatchObject({ result: { format } });
    }
  });

  it.each([
    ['SVG', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ['GIF', () => white().gif().toBuffer()],
    ['TIFF', () => white().tiff().toBuffer()],
    ['AVIF', () => white().avif().toBuffer()],
  ])('knows no loader for %s', async (_label, picture) => {
    expect(await answerTo(await darkroom.task(await picture()))).toEqual({
      refusal: {
        code: 'undecodable',
        message: expect.stringContaining('unsupported image format'),
      },
    });
  });

  it('answers a fault that is not the file’s with its code', async () => {
    expect(await answerTo(await darkroom.taskNamed('missing'))).toEqual({
      failure: expect.objectContaining({ code: 'ENOENT' }),
    });
  });

  it('ignores what a terminal sends to the whole group', async () => {
    await answerTo(await darkroom.taskNamed('missing'));
    child.kill('SIGINT');
    child.kill('SIGTERM');

    expect(await answerTo(await darkroom.task(await white().png().toBuffer()))).toHaveProperty(
      'result',
    );
  });

  it('ends when its parent is gone', async () => {
    await answerTo(await darkroom.taskNamed('missing'));
    const exit = once(child, 'exit');
    child.disconnect();

    expect(await exit).toEqual([null, 'SIGKILL']);
  });
});

async function answerTo(task: DecodeTask): Promise<DecodeReply> {
  child.send(task);
  const [reply] = (await once(child, 'message')) as [DecodeReply];
  return reply;
}

function white() {
  return sharp({ create: { width: 40, height: 30, channels: 3, background: '#fff' } });
}
