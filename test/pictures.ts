import { readFile } from 'node:fs/promises';
import sharp from 'sharp';

interface PictureOptions {
  width?: number;
  height?: number;
  format?: 'jpeg' | 'png' | 'webp' | 'gif' | 'avif';
}

/** A picture with enough going on in it that encoders have work to do. No two are equal. */
export async function makePicture({
  width = 640,
  height = 480,
  format = 'jpeg',
}: PictureOptions = {}): Promise<Buffer> {
  return noise(width, height).toFormat(format).toBuffer();
}

/** An animation of noise, with 100 ms between its frames, for ever. */
export async function makeAnimation({
  frames = 4,
  width = 120,
  height = 90,
  format = 'gif',
}: {
  frames?: number;
  width?: number;
  height?: number;
  format?: 'gif' | 'webp';
} = {}): Promise<Buffer> {
  const stacked = await noise(width, height * frames)
    .raw()
    .toBuffer();
  return sharp(stacked, {
    raw: { width, height: height * frames, channels: 3, pageHeight: height },
  })
    [format]({ delay: Array<number>(frames).fill(100), loop: 0 })
    .toBuffer();
}

/** A HEIC as phones make it; see test/fixtures/README.md. */
export function readHeic(): Promise<Buffer> {
  return readFile(new URL('fixtures/p3.heic', import.meta.url));
}

/** One small file of every kind that is taken, by a name for the test. */
export async function makeEveryKind(): Promise<Record<string, Buffer>> {
  const picture = () => noise(160, 120);
  return {
    'baseline JPEG': await picture().jpeg().toBuffer(),
    'progressive JPEG': await picture().jpeg({ progressive: true }).toBuffer(),
    PNG: await picture().png().toBuffer(),
    'palette PNG': await picture().png({ palette: true, colours: 32 }).toBuffer(),
    'interlaced PNG': await picture().png({ progressive: true }).toBuffer(),
    'lossy WebP': await picture().webp().toBuffer(),
    'lossless WebP': await picture().ensureAlpha(0.5).webp({ lossless: true }).toBuffer(),
    'animated WebP': await makeAnimation({ format: 'webp' }),
    GIF: await picture().gif().toBuffer(),
    'animated GIF': await makeAnimation(),
    AVIF: await picture().avif({ effort: 0 }).toBuffer(),
    HEIC: await readHeic(),
  };
}

function noise(width: number, height: number) {
  const grain = { type: 'gaussian' as const, mean: 128, sigma: 40 };
  return sharp({ create: { width, height, channels: 3, background: '#888', noise: grain } });
}
