import { Injectable } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { RowChanges } from '../../core/database/row-changes.js';
import { newId } from '../../core/ids.js';
import { currentRequestId, currentTraceParent } from '../../core/request-context.js';
import type { WorkError } from '../../queue/work-row.js';
import { type StoredVersion, VersionFiles } from '../conversion/version-files.js';
import type { DecodeResult } from '../decoding/variants.js';
import { Image, type Visibility } from '../image.entity.js';
import type { InspectedFile } from '../upload/file-inspection.js';
import { ImageQuota } from '../upload/image-quota.js';
import type { Provenance } from './provenance.js';
import { lockUnmade } from './unmade-images.js';

/** Pictures that a model is to make, all alike. */
export interface WantedPictures {
  userId: string;
  prompt: string;
  title: string | null;
  description: string | null;
  visibility: Visibility;
  count: number;
}

/** A picture that was made of what a model sent. Its files are stored; no row names them yet. */
export interface MadePicture {
  imageId: string;
  provenance: Provenance;
  /** What the model sent. */
  file: InspectedFile;
  stored: StoredVersion;
  decoded: DecodeResult;
}

/**
 * The rows of images that models make. What is done to them is part of the transaction of who has them
 * made: their work, their coins and their images change together, or not at all.
 *
 * All but `create` pass over images that were deleted, or have ended. Who has work of their own on
 * them locks that first.
 */
@Injectable()
export class GeneratedImages {
  constructor(
    private readonly quota: ImageQuota,
    private readonly versions: VersionFiles,
    private readonly changes: RowChanges,
  ) {}

  /**
   * Inserts images that are yet to be generated. The account is locked, as an upload does it: so it
   * comes before an erasure, or is refused.
   *
   * @returns them in the order of their ids
   * @throws Problem `quota-exceeded` when the account is full already, `unauthenticated` when it was
   * erased
   */
  async create(em: EntityManager, { count, ...picture }: WantedPictures): Promise<Image[]> {
    await this.quota.lock(em, picture.userId);
    await this.quota.require(em, picture.userId, 1);
    const origin = { requestId: currentRequestId(), traceParent: currentTraceParent() };
    const images = Array.from({ length: count }, () =>
      Image.wanted({ id: newId(), ...picture, ...origin }),
    );
    await em.persist(images).flush();
    return images;
  }

  /** Says that a model is at work on them. */
  async start(em: EntityManager, ids: readonly string[]): Promise<void> {
    for (const image of await lockUnmade(em, ids)) {
      image.start();
      await this.changes.announce(em, image.id);
    }
  }

  /**
   * Ends the work on an image with what was made.
   *
   * @param coins what was paid for it
   * @returns false when it came too late: nothing is written, and the files are to be discarded
   * @throws Error when it took so long that its files are being removed
   */
  async complete(em: EntityManager, made: MadePicture, coins: number): Promise<boolean> {
    const [image] = await lockUnmade(em, [made.imageId]);
    if (!image) return false;
    image.receive({ ...made.file, provenance: made.provenance, coins });
    await this.versions.replace(image, em, made.stored, made.decoded);
    await this.changes.announce(em, image.id);
    return true;
  }

  /** Ends the work on images without success. */
  async fail(em: EntityManager, ids: readonly string[], error: WorkError): Promise<void> {
    for (const image of await lockUnmade(em, ids)) {
      image.fail(error);
      await this.changes.announce(em, image.id);
    }
  }
}
