import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BareCascade } from './images/bare-cascade.ts';
import { measureConversion, WEBP } from './images/conversion.ts';
import { measureDecoderMemory } from './images/decoder-memory.ts';
import { measureLargeUploads } from './images/large-uploads.ts';
import { measurePhotographs } from './images/photographs.ts';
import { makePhotos, PHOTO_FORMS, type PhotoForm, type Photos } from './images/pictures.ts';
import { requireProc } from './process-usage.ts';
import { Product } from './product.ts';
import type { Table } from './report.ts';
import type { BenchOptions } from './run.ts';

const FULL = {
  photos: 4,
  conversion: { rounds: 7, otherRounds: 4, picturesPerRound: 16 },
  memory: { rounds: 3, picturesPerRound: 12 },
  largeUploadRounds: 3,
};
const QUICK: typeof FULL = {
  photos: 2,
  conversion: { rounds: 2, otherRounds: 1, picturesPerRound: 6 },
  memory: { rounds: 1, picturesPerRound: 6 },
  largeUploadRounds: 1,
};

/** Pictures, from the upload to what is served, by the goals that the project set itself. */
export async function* measureImages({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const plan = quick ? QUICK : FULL;
  const folder = mkdtempSync(join(tmpdir(), 'atelier-bench-images-'));
  cleanUp.add(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const photos = await makePhotos(plan.photos);
  const product = await Product.start(cleanUp, {
    WEBP_QUALITY: String(WEBP.quality),
    WEBP_EFFORT: String(WEBP.effort),
  });
  const bare = new BareCascade(folder, cleanUp);
  const files = writePhotos(photos, folder);
  yield await measureConversion({ product, bare, photos, files }, plan.conversion);
  yield await measureDecoderMemory(product, photos, plan.memory);
  yield await measureLargeUploads(product, plan.largeUploadRounds);
  yield await measurePhotographs(product, process.env['PHOTOS_DIR']);
}

function writePhotos(photos: Photos, folder: string): Record<PhotoForm, string[]> {
  const write = (form: PhotoForm): string[] => {
    mkdirSync(join(folder, form));
    return photos[form].map((photo, index) => {
      const path = join(folder, form, `${index}.jpg`);
      writeFileSync(path, photo);
      return path;
    });
  };
  return Object.fromEntries(PHOTO_FORMS.map((form) => [form, write(form)])) as Record<
    PhotoForm,
    string[]
  >;
}
