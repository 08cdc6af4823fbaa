import { Inject, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { ENV, type Env } from '../../core/env.js';
import { Problem } from '../../core/problems/problem.js';
import { containerProblems, fileTooLarge } from '../images.problems.js';
import { ImageQuota } from '../upload/image-quota.js';
import { fileLimitsOf, receiveFile, type StoreFile } from '../upload/incoming-file.js';
import { ResumableBytes } from './resumable-bytes.js';
import { type ResumableLease, ResumableLeases } from './resumable-leases.js';
import { ResumableUpload } from './resumable-upload.entity.js';
import { ImageDeleted, ImageUploads } from '../upload/uploads.service.js';

/** What is wrong with the file itself, so that no other attempt can end better. */
const REFUSALS = new Set([...Object.values(containerProblems), fileTooLarge]);

/** Makes images of uploads whose last byte has come, and clears away what no one continues. */
@Injectable()
export class ResumableCompletion {
  private readonly logger = new Logger(ResumableCompletion.name);

  constructor(
    private readonly em: EntityManager,
    private readonly bytes: ResumableBytes,
    private readonly leases: ResumableLeases,
    private readonly uploads: ImageUploads,
    private readonly quota: ImageQuota,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Hands a whole upload to where forms go as well. Doing it again makes no second image: it has the
   * id of the upload.
   *
   * @returns the id of the image
   * @throws Problem what is wrong with the file, which is then written down and its bytes removed;
   * `quota-exceeded` and faults leave all as it is, to be tried again
   */
  finish(upload: ResumableUpload, lease: ResumableLease): Promise<string> {
    return lease.during(async () => {
      try {
        await this.quota.require(this.em, upload.userId, upload.bytes, upload.id);
        const imageId = await this.imageOf(upload);
        await this.settle(lease, { imageId });
        return imageId;
      } catch (error) {
        if (isRefusal(error)) {
          await this.settle(lease, { errorCode: error.code, errorDetail: error.message });
        }
        throw error;
      }
    });
  }

  /**
   * Goes through all uploads: finishes those that a killed process left whole, and removes those
   * that have expired, with bytes that belong to no upload any more.
   *
   * @returns how many it dealt with
   */
  async sweep(): Promise<number> {
    let dealtWith = 0;
    for (const id of await this.bytes.ids()) {
      try {
        if (await this.tidy(id)) dealtWith += 1;
      } catch (error) {
        this.logger.warn({ err: error, id, msg: 'A resumable upload is left to the next sweep' });
      }
    }
    return dealtWith + (await this.removeExpired());
  }

  /** @returns whether there was anything to do */
  private async tidy(id: string): Promise<boolean> {
    const upload = await this.em.fork().findOne(ResumableUpload, { id });
    if (!upload || upload.isSettled) {
      await this.bytes.remove(id);
      return true;
    }
    if ((await this.bytes.offset(id)) < upload.bytes) return false;
    const lease = await this.leases.tryTake(id);
    if (!lease) return false;
    try {
      await this.finish(upload, lease);
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return isRefusal(error);
    } finally {
      await lease.release();
    }
  }

  private async removeExpired(): Promise<number> {
    const expired = await this.em.fork().execute<{ id: string }[]>(
      `delete from resumable_uploads
       where expires_at <= now() and (leased_until is null or leased_until <= now())
       returning id`,
    );
    for (const { id } of expired) await this.bytes.remove(id);
    return expired.length;
  }

  /** The image that an upload became, also when its owner has deleted it again. */
  private async imageOf(upload: ResumableUpload): Promise<string> {
    try {
      return await this.take(upload);
    } catch (error) {
      if (error instanceof ImageDeleted) return upload.id;
      throw error;
    }
  }

  private async take({ id, userId, fields }: ResumableUpload): Promise<string> {
    const { force, metadata: _, ...imageFields } = fields;
    const options = { idempotencyKey: undefined, waitSeconds: 0, force, announcedBy: id };
    const { body } = await this.uploads.take(userId, options, async (store) => ({
      ...(await this.readFile(id, store)),
      fields: imageFields,
    }));
    return body.id;
  }

  private async readFile(id: string, store: StoreFile) {
    const file = this.bytes.read(id);
    try {
      return await receiveFile(file, fileLimitsOf(this.env), store);
    } catch (error) {
      // Bytes that cannot be read are no fault of the file.
      throw file.errored ?? error;
    } finally {
      file.destroy();
    }
  }

  /** Writes the outcome down, then removes the bytes: the other way round a crash would lose both. */
  private async settle(
    { uploadId, leaseId }: ResumableLease,
    outcome: Partial<Pick<ResumableUpload, 'imageId' | 'errorCode' | 'errorDetail'>>,
  ): Promise<void> {
    const settled = await this.em
      .fork()
      .nativeUpdate(
        ResumableUpload,
        { id: uploadId, leaseId },
        { ...outcome, leaseId: null, leasedUntil: null },
      );
    if (settled > 0) await this.bytes.remove(uploadId);
  }
}

function isRefusal(error: unknown): error is Problem {
  return error instanceof Problem && REFUSALS.has(error.definition);
}
