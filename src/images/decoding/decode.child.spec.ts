import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import sharp from 'sharp';
import { Darkroom, FROM_SOURCES } from '../../../test/decoding.js';
import { fixture } from '../../../test/pictures.js';
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
    for (const format of ['jpeg', 'png', 'webp', 'gif', 'avif', 'heic'] as const) {
      const picture =
        format === 'heic' ? await fixture('p3.heic') : await white()[format]().toBuffer();
      expect(await answerTo(await darkroom.task(picture))).toMatchObject({
        result: { original: { format } },
      });
    }
  });

  it('answers a refusal with its code', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    expect(await answerTo(await darkroom.task(svg))).toEqual({
      refusal: { code: 'unsupported-type', message: expect.any(String) },
    });
  });

  it('knows no loader for formats that are not taken, should one get so far', async () => {
    const pictures = [
      await white().tiff().toBuffer(),
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      Buffer.from('P6 1 1 255\nabc'),
      await white().webp().toBuffer(),
    ];
    const tasks = await Promise.all(pictures.map((picture) => darkroom.task(picture)));
    const paths = tasks.map(({ input }) => input);
    const loader = fork(new URL('../../../test/loading.child.ts', import.meta.url), paths, {
      execArgv: FROM_SOURCES,
    });
    const [outcomes] = (await once(loader, 'message')) as [string[]];
    loader.kill('SIGKILL');

    expect(outcomes).toEqual([
      ...Array(3).fill(expect.stringContaining('unsupported image format')),
      'loaded',
    ]);
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
