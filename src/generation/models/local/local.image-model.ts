import sharp, { type OverlayOptions } from 'sharp';
import { Admission } from '../../../core/admission.js';
import { type ImageModel, NO_BILL, type Painting, type PaintRequest } from '../image-model.js';
import { type PixelSize, pixelsOf } from '../picture-sizes.js';
import type { Canvas } from './canvas.js';
import { compose } from './composition.js';
import { grainOf, type Tile } from './grain.js';
import { coloursOf, hang } from './sources.js';

/** A picture at 4K takes a few hundred megabytes while it is painted, so they come one by one. */
const AT_ONCE = 1;
const QUALITY = 91;
/** At 4K half the colour is still finer than all of it at 1K, and takes half the time. */
const CHROMA = { '1K': '4:4:4', '2K': '4:4:4', '4K': '4:2:0' } as const;

/**
 * Paints what it finds words for in a prompt, without any model: a scene as SVG, drawn by libvips.
 * The same request makes the same bytes.
 */
export class LocalImageModel implements ImageModel {
  readonly driver = 'local';
  readonly digitalSourceType = null;
  private readonly turns = new Admission(AT_ONCE, Infinity);

  constructor(readonly name: string) {}

  async paint(request: PaintRequest, signal: AbortSignal): Promise<Painting> {
    await this.turns.enter(0, signal);
    try {
      const bytes = await draw(request);
      signal.throwIfAborted();
      return { bytes, ...NO_BILL };
    } finally {
      this.turns.leave(0);
    }
  }
}

async function draw({ prompt, seed, sources, ...request }: PaintRequest): Promise<Buffer> {
  const style = request.style ?? 'natural';
  const atOneK = pixelsOf(request.aspectRatio, '1K');
  const pixels = pixelsOf(request.aspectRatio, request.size);
  const colours = await coloursOf(sources);
  const canvas = compose({ prompt, seed, style, size: atOneK, colours });
  const grain = grainOf(style, pixels.width / atOneK.width);
  const scene = await paintStrips(canvas, grain, pixels);
  return sharp(scene, { raw: { ...pixels, channels: 3 } })
    .composite(await hang(sources, pixels))
    .jpeg({ quality: QUALITY, chromaSubsampling: CHROMA[request.size] })
    .toBuffer();
}

/**
 * Drawing a scene and laying the grain over it take most of the time, each on one processor: strips have
 * several of them at work. They are as high as the tile of the grain, which so fits each of them; how
 * many there are depends on the picture alone, so that it is the same on every machine.
 *
 * @returns red, green and blue of each pixel
 */
async function paintStrips(canvas: Canvas, { pixels, side }: Tile, size: PixelSize) {
  const svgOf = canvas.finished();
  // Sharp draws an SVG at the size that it is to have in the end: enlarging it takes a step of its own.
  const by = Math.max(1, size.width / canvas.width / canvas.finest);
  const { width } = size;
  const strips = Array.from({ length: Math.ceil(size.height / side) }, async (_, at) => {
    const top = at * side;
    const height = Math.min(side, size.height - top);
    const svg = svgOf({ width: width / by, top: top / by, height: height / by });
    const { data, info } = await sharp(svg).raw().toBuffer({ resolveWithObject: true });
    const grain: OverlayOptions = {
      input: pixels.subarray(0, side * height),
      raw: { width: side, height, channels: 1 },
      tile: true,
      blend: 'soft-light',
    };
    return sharp(data, { raw: info })
      .resize(width, height, { fit: 'fill', kernel: 'linear' })
      .composite([grain])
      .removeAlpha()
      .raw()
      .toBuffer();
  });
  return Buffer.concat(await Promise.all(strips));
}
