import {
  ContainerRefused,
  type FormatName,
  type PictureFacts,
  type PictureLimits,
} from './container.js';
import { ByteInput } from './byte-input.js';
import { detectFormat, SHORT_SIGNATURE_BYTES, SIGNATURE_BYTES, signatureLength } from './format.js';
import type { FormatWalk, PartVisitor } from './format-walk.js';
import { walkGif } from './gif.js';
import { walkHeif } from './heif.js';
import { walkJpeg } from './jpeg.js';
import { walkPng } from './png.js';
import { PictureTally } from './tally.js';
import { walkWebp } from './webp.js';

const WALKS: Record<FormatName, FormatWalk> = {
  jpeg: walkJpeg,
  png: walkPng,
  webp: walkWebp,
  gif: walkGif,
  avif: walkHeif,
  heic: walkHeif,
};

/**
 * Walks the structure of a file while it arrives, in chunks of any size.
 *
 * It takes linear time and holds at most about a megabyte. Bytes after the end of the picture are
 * taken and not looked at.
 */
export class ContainerWalk {
  private readonly limits: PictureLimits;
  private readonly visit: PartVisitor;
  private readonly input = new ByteInput();
  private readonly steps: Generator<undefined, void>;
  private tally: PictureTally | undefined;
  private done = false;
  private refusal: Error | undefined;

  /** @param visit hears of each part of the picture */
  constructor(limits: PictureLimits, visit: PartVisitor = () => undefined) {
    this.limits = limits;
    this.visit = visit;
    this.steps = this.walk();
  }

  /**
   * Takes the next bytes. They are not kept: the buffer may be reused.
   *
   * @throws ContainerRefused as early as the file can be told to be wrong, and at each call after
   */
  write(chunk: Buffer): void {
    this.rethrow();
    if (this.done) return;
    this.input.feed(chunk);
    if (this.input.satisfied) this.advance();
    this.input.settle();
  }

  /**
   * Says that the file is complete.
   *
   * @throws ContainerRefused also `empty-file` and `truncated`
   */
  end(): PictureFacts {
    this.rethrow();
    if (this.input.length === 0) throw new ContainerRefused('empty-file', 'The file is empty.');
    this.input.ended = true;
    this.advance();
    if (!this.done || !this.tally) {
      throw new ContainerRefused('truncated', 'The file ends before its picture does.');
    }
    return { ...this.tally.facts };
  }

  private rethrow(): void {
    if (this.refusal) throw this.refusal;
  }

  private advance(): void {
    try {
      if (this.steps.next().done) this.done = true;
    } catch (error) {
      this.refusal = error as Error;
      throw error;
    }
  }

  private *walk(): Generator<undefined, void> {
    const input = this.input;
    while (!input.has(SHORT_SIGNATURE_BYTES) && !input.ended) yield;
    if (input.has(SHORT_SIGNATURE_BYTES)) {
      const length = signatureLength(input.peek(SHORT_SIGNATURE_BYTES));
      while (!input.has(length) && !input.ended) yield;
    }
    const format = detectFormat(input.unread().subarray(0, SIGNATURE_BYTES));
    if (!format) {
      throw new ContainerRefused('unsupported-type', 'The file is no picture of a type we take.');
    }
    this.tally = new PictureTally(format.name, this.limits);
    yield* WALKS[format.name](input, this.tally, this.visit);
  }
}

/** Walks a file that is there as a whole. */
export function walkFile(file: Buffer, limits: PictureLimits, visit?: PartVisitor): PictureFacts {
  const walk = new ContainerWalk(limits, visit);
  walk.write(file);
  return walk.end();
}
