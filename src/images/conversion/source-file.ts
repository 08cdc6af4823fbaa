import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { Unavailable } from '../../core/problems/unavailable.js';
import { JobRefusal } from '../../queue/job-errors.js';
import type { Attempt } from '../../queue/job-processor.js';
import { ObjectNotFound, Storage } from '../../storage/storage.js';
import { FILE_MISSING, type Image } from '../image.entity.js';
import { ImageVariant } from '../image-variant.entity.js';
import { convertImage } from './conversion.jobs.js';
import { readThrough } from './read-through.js';

/** The file that a picture is made from: its upload, or later its original without metadata. */
@Injectable()
export class SourceFile {
  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
  ) {}

  /**
   * Brings the file to this machine, and makes sure that it is what was stored: nobody is to be
   * blamed for what a store made of it, and no picture made of that, whose upload is then deleted.
   *
   * A file that is missing may lie on a disk that is not mounted, or in a store that this worker is
   * not told of, so that only the last attempt takes it for lost.
   *
   * @throws JobRefusal when there is no such file, and this is the last attempt
   * @throws ObjectNotFound when it is not
   * @throws Unavailable when the store gives other bytes
   */
  async fetch(image: Image, path: string, { number, signal }: Attempt): Promise<void> {
    try {
      await this.storage.download(image.storageKey, path, { signal });
    } catch (error) {
      const isLast = number >= convertImage.retry.attempts;
      if (!(error instanceof ObjectNotFound) || !isLast) throw error;
      throw new JobRefusal(FILE_MISSING, 'The file of the picture is gone.', { cause: error });
    }
    const recorded = await this.recordedChecksum(image);
    if (recorded !== undefined && (await checksumOf(path, signal)) !== recorded) {
      throw new Unavailable('The store gave other bytes than it was sent', 'WrongChecksum');
    }
  }

  /** Undefined for an original that has no row of its own. */
  private async recordedChecksum({ id, version, storageKey, checksum }: Image) {
    if (version === 0) return checksum ?? undefined;
    const original = await this.em.fork().findOne(ImageVariant, { imageId: id, storageKey });
    return original?.checksum;
  }
}

/** SHA-256 in hex. */
async function checksumOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await readThrough(path, signal, (chunk) => hash.update(chunk));
  return hash.digest('hex');
}
