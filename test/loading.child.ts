import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import '../src/images/decoding/decode.child.js';

/** A decoding child that only says, of each file it is started with, whether libvips loads it. */

const loads = process.argv.slice(2).map(async (path) => {
  const picture = sharp(await readFile(path)).raw();
  return picture.toBuffer().then(
    () => 'loaded',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
});
process.send?.(await Promise.all(loads));
