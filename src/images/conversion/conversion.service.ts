import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { type Attempt, type WriteOutcome } from '../../queue/job-processor.js';
import type { DecodeResult } from '../decoding/variants.js';
import type { Image } from '../image.entity.js';
import { ConversionMetrics } from './conversion-metrics.js';
import { PictureDecoding } from './picture-decoding.js';
import { SourceFile } from './source-file.js';
import { VersionFiles } from './version-files.js';
import { WorkFolders } from './work-folders.js';

/**
 * Turns an upload, or the original of an image that was made before, into the files of an image. All
 * are stored before the row is completed.
 */
@Injectable()
export class ImageConversion {
  constructor(
    private readonly folders: WorkFolders,
    private readonly sources: SourceFile,
    private readonly decoding: PictureDecoding,
    private readonly versions: VersionFiles,
    private readonly metrics: ConversionMetrics,
  ) {}

  /**
   * Makes and stores the files of an image. Doing it twice makes two versions, of which one is kept.
   *
   * @throws JobRefusal with what the picture or its file is refused for
   */
  convert(image: Image, attempt: Attempt): Promise<WriteOutcome<Image>> {
    return this.folders.within(async (folder) => {
      const path = join(folder, 'source');
      await this.metrics.measure('fetch', () => this.sources.fetch(image, path, attempt));
      const decoded = await this.decode(image, path, folder, attempt);
      const stored = await this.metrics.measure('store', () =>
        this.versions.store(image, decoded, attempt.signal),
      );
      attempt.onceOver(async (isWritten) => {
        if (!isWritten) await this.versions.discard(stored);
      });
      return (row, em) => this.versions.replace(row, em, stored, decoded);
    });
  }

  private decode(
    { id, metadata, provenance = null }: Image,
    path: string,
    folder: string,
    { signal }: Attempt,
  ): Promise<DecodeResult> {
    if (!metadata) throw new Error(`Nothing is known of the picture of image ${id}`);
    const source = { path, facts: metadata, bytes: metadata.size, provenance };
    return this.decoding.decode(source, folder, signal);
  }
}
