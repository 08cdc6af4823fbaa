import { join } from 'node:path';
import sharp from 'sharp';
import { inFlight } from '../in-flight.ts';

/**
 * The least that makes the three variants: plain sharp in a plain process. It checks, stores and
 * records nothing, and is what the product is measured against.
 */

export interface BareTask {
  files: readonly string[];
  outputFolder: string;
  quality: number;
  effort: number;
  /** How many pictures are worked on at once. */
  atOnce: number;
}

export interface BareResult {
  wallMs: number;
}

const SIDES = [2048, 1024, 320];

sharp.concurrency(1);
// The same files come again and again, which they do not in life.
sharp.cache(false);

process.on('message', (task: BareTask) => {
  void work(task).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit());

async function work({ files, atOnce, ...task }: BareTask): Promise<BareResult> {
  const startedAt = performance.now();
  await inFlight([...files.entries()], atOnce, ([index, file]) => cascade(file, index, task));
  return { wallMs: performance.now() - startedAt };
}

async function cascade(
  file: string,
  index: number,
  { outputFolder, quality, effort }: Omit<BareTask, 'files' | 'atOnce'>,
): Promise<void> {
  let image = sharp(file, { sequentialRead: true, autoOrient: true });
  for (const side of SIDES) {
    const { data, info } = await image
      .resize({ width: side, height: side, fit: 'inside', withoutEnlargement: true })
      .raw()
      .toBuffer({ resolveWithObject: true });
    const raw = { width: info.width, height: info.height, channels: info.channels };
    await sharp(data, { raw })
      .webp({ quality, effort })
      .toFile(join(outputFolder, `${index}-${side}.webp`));
    image = sharp(data, { raw });
  }
}
