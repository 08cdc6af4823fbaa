import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { DecoderPool, type RunOptions } from '../decoding/decoder-pool.js';
import { estimateMemoryMb, type MemoryFacts } from '../decoding/memory-estimate.js';
import type { DecodeResult, DecodeTask } from '../decoding/variants.js';
import { type Provenance, provenanceXmp } from '../generated/provenance.js';
import { ConversionMetrics } from './conversion-metrics.js';
import { asRefusal, isFatalToDecoder } from './refusals.js';

/** A file on this machine that is to become an image. */
export interface SourcePicture {
  path: string;
  facts: MemoryFacts;
  bytes: number;
  /** Null for what people upload. */
  provenance: Provenance | null;
}

/** Decodes pictures in child processes, as the operator has it. */
@Injectable()
export class PictureDecoding implements OnApplicationShutdown {
  constructor(
    private readonly decoders: DecoderPool,
    private readonly metrics: ConversionMetrics,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Makes all files of a picture.
   *
   * @param outputFolder an existing one, which receives the files
   * @throws JobRefusal when the file is at fault
   */
  async decode(
    { path, facts, bytes, provenance }: SourcePicture,
    outputFolder: string,
    signal: AbortSignal,
  ): Promise<DecodeResult> {
    const task = {
      input: path,
      outputFolder,
      maxPixels: this.env.IMAGE_MAX_PIXELS,
      maxFrames: this.env.IMAGE_MAX_FRAMES,
      quality: this.env.WEBP_QUALITY,
      effort: this.env.WEBP_EFFORT,
      avif: this.env.IMAGE_AVIF,
      xmp: provenanceXmp(provenance),
    };
    const options = {
      memoryMb: estimateMemoryMb(facts, bytes),
      timeoutMs: this.env.IMAGE_DECODE_TIMEOUT_MS,
      signal,
    };
    try {
      return await this.runDecoder(task, options).catch((error: unknown) => {
        // A decoder may die of something else once; a file that kills two is at fault itself.
        if (!isFatalToDecoder(error)) throw error;
        return this.runDecoder(task, options);
      });
    } catch (error) {
      throw asRefusal(error);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.decoders.close();
  }

  private async runDecoder(task: DecodeTask, options: RunOptions): Promise<DecodeResult> {
    try {
      return await this.decoders.run(task, options);
    } catch (error) {
      this.metrics.countDeath(error);
      throw error;
    }
  }
}
