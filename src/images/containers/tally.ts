import {
  ContainerRefused,
  type FormatName,
  type PictureFacts,
  type PictureLimits,
} from './container.js';

/**
 * Segments, chunks or blocks of a file. Sound files have some thousands; millions of empty ones
 * would only cost time.
 */
const MAX_PARTS = 100_000;

/** What a walk has learnt so far. It refuses a picture as soon as a limit is passed. */
export class PictureTally {
  readonly facts: PictureFacts;
  private readonly limits: PictureLimits;
  private parts = 0;

  constructor(format: FormatName, limits: PictureLimits) {
    this.limits = limits;
    this.facts = { format, width: 0, height: 0, frames: 1, orientation: 1, progressive: false };
  }

  /** @throws ContainerRefused `corrupt-file` for an empty picture, `too-many-pixels` */
  setSize(width: number, height: number): void {
    this.checkSize(width, height);
    this.facts.width = width;
    this.facts.height = height;
  }

  /** @throws ContainerRefused `too-many-frames`, `too-many-pixels` */
  setFrames(frames: number): void {
    const { maxFrames } = this.limits;
    if (frames > maxFrames) {
      throw new ContainerRefused(
        'too-many-frames',
        `The picture has more than the ${maxFrames} frames that are allowed.`,
      );
    }
    this.facts.frames = frames;
    if (this.facts.width > 0) this.checkSize(this.facts.width, this.facts.height);
  }

  /** @throws ContainerRefused `corrupt-file` */
  countPart(): void {
    this.parts += 1;
    if (this.parts <= MAX_PARTS) return;
    throw new ContainerRefused('corrupt-file', `The file has more than ${MAX_PARTS} parts.`);
  }

  /** For a part of the picture that is decoded by itself, such as a tile or a frame. */
  checkSize(width: number, height: number): void {
    if (width < 1 || height < 1) {
      throw new ContainerRefused('corrupt-file', `The picture is ${width} × ${height} pixels.`);
    }
    const { maxPixels } = this.limits;
    const { frames } = this.facts;
    if (width * height * frames <= maxPixels) return;
    const times = frames > 1 ? ` × ${frames} frames` : '';
    throw new ContainerRefused(
      'too-many-pixels',
      `The picture has ${width} × ${height} pixels${times}; at most ${maxPixels} are allowed.`,
    );
  }
}
