import sharp, { type OverlayOptions } from 'sharp';
import { Admission } from '../../../core/admission.js';
import { type ImageModel, NO_BILL, type Painting, type PaintRequest } from '../image-model.js';
import { pixelsOf } from '../picture-sizes.js';
import { compose } from './composition.js';
import { grainOf } from './grain.js';
import { coloursOf, hang } from './sources.js';

/** A picture at 4K takes a few hundred megabytes while it is painted, so they come one by one. */
const AT_ONCE = 1;
const QUALITY = 91;

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
  const { pixels: input, side } = grainOf(style, pixels.width / atOneK.width);
  const grain: OverlayOptions = {
    input,
    raw: { width: side, height: side, channels: 1 },
    tile: true,
    blend: 'soft-light',
  };
  return sharp(canvas.toSvg(pixels))
    .composite([grain, ...(await hang(sources, pixels))])
    .removeAlpha()
    .jpeg({ quality: QUALITY, chromaSubsampling: '4:4:4' })
    .toBuffer();
}
