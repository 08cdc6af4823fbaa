import { Inject, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyRequest } from 'fastify';
import type { Principal } from '../../auth/access.js';
import { ENV, type Env } from '../../core/env.js';
import { Idempotency, IdempotentRun } from '../../core/idempotency.js';
import { newId } from '../../core/ids.js';
import { Problem } from '../../core/problem.js';
import { currentRequestId } from '../../core/request-context.js';
import { RowChanges } from '../../core/row-changes.js';
import { Dispatcher } from '../../queue/dispatcher.js';
import { Storage } from '../../storage/storage.js';
import { imageKey } from '../../storage/storage-key.js';
import { Image } from '../image.entity.js';
import { ImagePresenter } from '../image.presenter.js';
import { ImageQueries } from '../image.queries.js';
import type { ImageAnswer } from '../image.schema.js';
import { convertImage } from '../conversion/conversion.jobs.js';
import { quotaExceeded } from '../images.problems.js';
import { type ReceivedUpload, receiveUpload } from './upload-form.js';

const UPLOAD_ROUTE = 'images.upload';

export interface UploadAnswer {
  /** 201 when the image is final, else 202. */
  status: number;
  body: ImageAnswer;
  /** Whether this is the stored answer to the same request. */
  replayed: boolean;
}

interface UploadOptions {
  idempotencyKey: string | undefined;
  /** How long to wait for the image to be final, in seconds. */
  waitSeconds: number;
}

/** An upload whose file is stored, and whose row is not there yet. */
interface StoredUpload extends ReceivedUpload {
  id: string;
  userId: string;
  storageKey: string;
}

/** Takes pictures in: the file to storage, the row to the database, the work to the queue. */
@Injectable()
export class ImageUploads {
  private readonly logger = new Logger(ImageUploads.name);

  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
    private readonly dispatcher: Dispatcher,
    private readonly idempotency: Idempotency,
    private readonly changes: RowChanges,
    private readonly queries: ImageQueries,
    private readonly presenter: ImagePresenter,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Takes one upload. Until its row is committed nothing of it stays when anything fails.
   *
   * @throws Problem naming what is wrong with the request, `quota-exceeded`, `idempotency-…`
   */
  async receive(
    request: FastifyRequest,
    { userId }: Principal,
    { idempotencyKey, waitSeconds }: UploadOptions,
  ): Promise<UploadAnswer> {
    // Not with a key: the request may have been answered already, before the account was full.
    if (idempotencyKey === undefined) await this.requireSpace(this.em, userId, 0);
    const upload = await this.store(request, userId);
    const run = await this.begin(upload, idempotencyKey);
    if (!(run instanceof IdempotentRun)) {
      await this.discard(upload.storageKey);
      return { status: run.status, body: run.body as ImageAnswer, replayed: true };
    }
    const body = await this.create(upload, run);
    await this.dispatcher.enqueue(convertImage, upload.id);
    const final = await this.awaitFinal(run, upload.id, waitSeconds);
    return { ...(final ?? { status: 202, body }), replayed: false };
  }

  /** Streams the file to storage, and removes it again when the form turns out to be refused. */
  private async store(request: FastifyRequest, userId: string): Promise<StoredUpload> {
    const id = newId();
    const epochMs = Date.now();
    let storageKey = '';
    try {
      const upload = await receiveUpload(request, this.limits(), async (format, bytes, signal) => {
        const file = { userId, epochMs, imageId: id, variant: 'original', ext: format.extension };
        storageKey = imageKey(file);
        await this.storage.upload(storageKey, bytes, { contentType: format.mimeType, signal });
      });
      return { ...upload, id, userId, storageKey };
    } catch (error) {
      await this.discard(storageKey);
      throw error;
    }
  }

  private async begin(upload: StoredUpload, key: string | undefined) {
    const { userId, fields, checksum, storageKey } = upload;
    const content = { ...fields, file: checksum };
    try {
      return await this.idempotency.begin({ ownerId: userId, route: UPLOAD_ROUTE, key, content });
    } catch (error) {
      await this.discard(storageKey);
      throw error;
    }
  }

  /** Commits the row, with the answer for its key, or leaves nothing. */
  private async create(upload: StoredUpload, run: IdempotentRun): Promise<ImageAnswer> {
    const { fields, ...file } = upload;
    try {
      return await this.em.fork().transactional(async (em) => {
        await this.reserveQuota(em, file.userId, file.bytes);
        em.persist(new Image({ ...file, ...fields, requestId: currentRequestId() }));
        await em.flush();
        const body = await this.presenter.present(await new ImageQueries(em).get(file.id));
        await run.complete(em, { status: 202, body });
        return body;
      });
    } catch (error) {
      await run.abandon().catch(() => undefined);
      await this.discardUnlessCommitted(upload);
      throw error;
    }
  }

  /** Locks the account, so that uploads side by side cannot pass the quota together. */
  private async reserveQuota(em: EntityManager, userId: string, bytes: number): Promise<void> {
    await em.execute('select 1 from users where id = ? for no key update', [userId]);
    await this.requireSpace(em, userId, bytes);
  }

  /** @throws Problem `quota-exceeded` */
  private async requireSpace(em: EntityManager, userId: string, bytes: number): Promise<void> {
    const [used] = await em.execute<{ bytes: string }[]>(
      `select coalesce(sum((metadata->>'size')::bigint), 0)
            + coalesce((select sum(v.bytes) from image_variants v
                        join images i on i.id = v.image_id where i.user_id = ?), 0) as bytes
       from images where user_id = ?`,
      [userId, userId],
    );
    if (Number(used?.bytes ?? 0) + bytes > this.env.STORAGE_QUOTA_BYTES) {
      throw new Problem(quotaExceeded, `Your quota is ${this.env.STORAGE_QUOTA_BYTES} bytes.`);
    }
  }

  /**
   * The answer for an image that became final in time. Whatever goes wrong here, the upload has
   * been taken, and the client must not hear otherwise.
   */
  private async awaitFinal(run: IdempotentRun, id: string, seconds: number) {
    if (seconds === 0) return undefined;
    try {
      const image = await this.changes.waitFor(id, seconds, () => this.findFinal(id));
      if (!image) return undefined;
      const answer = { status: 201, body: await this.presenter.present(image) };
      await run.amend(answer);
      return answer;
    } catch (error) {
      this.logger.error({
        err: error,
        id,
        msg: 'Waiting failed; the upload is taken all the same',
      });
      return undefined;
    }
  }

  private async findFinal(id: string) {
    const image = await this.queries.find(id);
    return image?.status === 'COMPLETED' || image?.status === 'FAILED' ? image : undefined;
  }

  /** A connection that breaks during COMMIT leaves open whether the row is there: look. */
  private async discardUnlessCommitted({ id, storageKey }: StoredUpload): Promise<void> {
    try {
      if (!(await this.queries.find(id))) await this.discard(storageKey);
    } catch (error) {
      this.logger.warn({ err: error, storageKey, msg: 'A file is left to the clean-up' });
    }
  }

  private async discard(storageKey: string): Promise<void> {
    if (storageKey === '') return;
    await this.storage.delete(storageKey).catch((error: unknown) => {
      this.logger.warn({ err: error, storageKey, msg: 'A file is left to the clean-up' });
    });
  }

  private limits() {
    return {
      maxBytes: this.env.UPLOAD_MAX_BYTES,
      idleMs: this.env.UPLOAD_IDLE_TIMEOUT_MS,
      totalMs: this.env.UPLOAD_TIMEOUT_MS,
    };
  }
}
