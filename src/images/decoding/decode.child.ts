import sharp from 'sharp';
import { decode } from './cascade.js';
import { DecodeRefused, type DecodeReply, type DecodeTask } from './variants.js';

/**
 * The long-lived child process of {@link DecoderPool}: one task at a time over IPC, one reply each.
 *
 * It exists so that a file which crashes, hangs or exhausts libvips takes only itself down.
 */

// One thread in each of several children is as fast as many threads in one, and uses less memory.
sharp.concurrency(1);
// No operation is repeated here: a cache would only keep the pixels of the last file.
sharp.cache(false);
// Of the loaders that libvips has (SVG, PDF, TIFF, ImageMagick …), only those of formats that are
// taken. The one for AVIF (libheif) has no decoder of HEVC; it reads the profile of a HEIC.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: [
    'VipsForeignLoadJpeg',
    'VipsForeignLoadPng',
    'VipsForeignLoadWebp',
    'VipsForeignLoadNsgif',
    'VipsForeignLoadHeif',
  ],
});

// A terminal's Ctrl-C and a service manager's stop reach the whole group; the parent decides when.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

// The parent is gone. exit() would first wait for libvips to finish with the file.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

/**
 * How much of what past tasks left may lie about, in bytes: files, results, WebAssembly's memory. V8
 * itself sees no need to collect it. A collection takes 10 ms of CPU, so not after each task.
 */
const TOLERATED_GARBAGE = 25_000_000;

process.on('message', (task: DecodeTask) => {
  void answer(task).then((reply) => {
    process.send?.(reply);
    // The parent starts the child with `--expose-gc`.
    if (process.memoryUsage().external > TOLERATED_GARBAGE) globalThis.gc?.();
  });
});

async function answer(task: DecodeTask): Promise<DecodeReply> {
  try {
    return { result: await decode(task) };
  } catch (error) {
    if (error instanceof DecodeRefused) {
      return { refusal: { code: error.code, message: error.message } };
    }
    // Structured cloning would keep the message and drop the code, such as ENOSPC.
    const { message, stack, code } = error as NodeJS.ErrnoException;
    return { failure: { message, stack, code } };
  }
}
