import { Inject, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyRequest } from 'fastify';
import type { Principal } from '../../auth/access/principal.js';
import { ENV, type Env } from '../../core/env.js';
import { Idempotency, IdempotentRun } from '../../core/http/idempotency.js';
import { newId } from '../../core/ids.js';
import { currentRequestId, currentTraceParent } from '../../core/request-context.js';
import { RowChanges } from '../../core/database/row-changes.js';
import { Dispatcher } from '../../queue/dispatcher.js';
import { FileRemovals } from '../../storage/file-removals.js';
import { convertImage } from '../conversion/conversion.jobs.js';
import { Image } from '../image.entity.js';
import { ImagePresenter } from '../image.presenter.js';
import { ImageQueries } from '../image.queries.js';
import { type ImageAnswer, isFinal } from '../image.schema.js';
import { ImageQuota } from './image-quota.js';
import { fileLimitsOf, type StoreFile } from './incoming-file.js';
import { type StoredUpload, UploadFiles } from './upload-files.js';
import { type ReceivedUpload, receiveUpload } from './upload-form.js';
import { UploadPlaces } from './upload-places.js';

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
  /** Whether a file that the owner has uploaded before becomes another image all the same. */
  force: boolean;
  /**
   * The resumable upload that has announced these bytes, if one has. The image gets its id: so the
   * same upload never becomes two, however often its end is repeated.
   */
  announcedBy?: string;
}

/** The image of a resumable upload whose owner has deleted it: no repeat brings it back. */
export class ImageDeleted extends Error {
  constructor(id: string) {
    super(`The image ${id} was deleted.`);
    this.name = 'ImageDeleted';
  }
}

/** Takes pictures in: the file to storage, the row to the database, the work to the queue. */
@Injectable()
export class ImageUploads {
  private readonly logger = new Logger(ImageUploads.name);

  constructor(
    private readonly em: EntityManager,
    private readonly files: UploadFiles,
    private readonly places: UploadPlaces,
    private readonly removals: FileRemovals,
    private readonly dispatcher: Dispatcher,
    private readonly idempotency: Idempotency,
    private readonly changes: RowChanges,
    private readonly queries: ImageQueries,
    private readonly presenter: ImagePresenter,
    private readonly quota: ImageQuota,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Takes an upload that comes as a form.
   *
   * @throws Problem naming what is wrong with the request, `quota-exceeded`, `too-many-uploads`,
   * `idempotency-…`
   */
  async receive(
    request: FastifyRequest,
    { userId }: Principal,
    options: UploadOptions,
  ): Promise<UploadAnswer> {
    // Not with a key: the request may have been answered already, before the account was full.
    if (options.idempotencyKey === undefined) await this.quota.require(this.em, userId, 0);
    return this.take(userId, options, (store) =>
      this.places.hold(request, userId, (turn) =>
        receiveUpload(request, { ...this.limits(), turn }, store),
      ),
    );
  }

  /**
   * Takes one upload, however it comes. Until its row is committed nothing of it stays when
   * anything fails.
   *
   * @param read reads the upload, handing its file to the function that it is given
   * @throws Problem `quota-exceeded`, `idempotency-…`, and whatever `read` throws
   * @throws ImageDeleted
   */
  async take(
    userId: string,
    options: UploadOptions,
    read: (store: StoreFile) => Promise<ReceivedUpload>,
  ): Promise<UploadAnswer> {
    const { idempotencyKey, waitSeconds, force, announcedBy } = options;
    const upload = await this.files.store(userId, announcedBy ?? newId(), read);
    const run = await this.begin(upload, idempotencyKey, force);
    if (!(run instanceof IdempotentRun)) {
      await this.files.discard(upload.storageKey);
      return { status: run.status, body: run.body as ImageAnswer, replayed: true };
    }
    const { isNew, ...answer } = await this.create(upload, run, options);
    if (!isNew) await this.files.discard(upload.storageKey);
    await this.dispatcher.enqueue(convertImage, answer.body.id);
    const final = await this.awaitFinal(run, answer.body, waitSeconds);
    return { ...(final ?? answer), replayed: false };
  }

  private async begin(upload: StoredUpload, key: string | undefined, force: boolean) {
    const { userId, fields, checksum, storageKey } = upload;
    const content = { ...fields, file: checksum, ...(force && { force }) };
    try {
      return await this.idempotency.begin({ ownerId: userId, route: UPLOAD_ROUTE, key, content });
    } catch (error) {
      await this.files.discard(storageKey);
      throw error;
    }
  }

  /**
   * Commits the row, with the answer for its key, or leaves nothing. The account is locked, so
   * that of equal uploads side by side only one becomes an image, and none passes the quota.
   */
  private async create(upload: StoredUpload, run: IdempotentRun, options: UploadOptions) {
    try {
      return await this.em.fork().transactional(async (em) => {
        await this.quota.lock(em, upload.userId);
        const found = await this.findMade(em, upload, options);
        const body = found ?? (await this.insert(em, upload, options.announcedBy));
        const answer = { status: isFinal(body) ? 201 : 202, body };
        await run.complete(em, answer);
        return { ...answer, isNew: !found };
      });
    } catch (error) {
      await run.abandon().catch(() => undefined);
      await this.files.discardUnlessCommitted(upload);
      throw error;
    }
  }

  /**
   * What was made of this very upload when it ended before, or else what the owner already made of
   * the same bytes; a failure is no reason not to try again.
   *
   * @throws ImageDeleted when its owner has deleted what was made of this very upload
   */
  private async findMade(
    em: EntityManager,
    { id, userId, checksum }: StoredUpload,
    { force, announcedBy }: UploadOptions,
  ): Promise<ImageAnswer | undefined> {
    const queries = new ImageQueries(em);
    if (announcedBy !== undefined) {
      const same = await queries.find(id);
      if (same) return this.presenter.present(same);
      // In this order: an image goes in the same transaction in which its deletion is remembered.
      await requireNotDeleted(em, id);
    }
    const equal = force ? undefined : await queries.findEqual(userId, checksum);
    return equal && { ...this.presenter.present(equal), duplicate: true };
  }

  private async insert(
    em: EntityManager,
    upload: StoredUpload,
    announcedBy: string | undefined,
  ): Promise<ImageAnswer> {
    const { fields, ...file } = upload;
    await this.quota.require(em, file.userId, file.bytes, announcedBy);
    await this.removals.cancel(em, [file.storageKey]);
    const origin = { requestId: currentRequestId(), traceParent: currentTraceParent() };
    em.persist(Image.uploaded({ ...file, ...fields, ...origin }));
    await em.flush();
    return this.presenter.present(await new ImageQueries(em).get(file.id));
  }

  /**
   * The answer for an image that became final in time. Whatever goes wrong here, the upload has
   * been taken, and the client must not hear otherwise.
   */
  private async awaitFinal(run: IdempotentRun, body: ImageAnswer, seconds: number) {
    if (seconds === 0 || isFinal(body)) return undefined;
    const { id, duplicate } = body;
    try {
      const image = await this.changes.waitFor(id, seconds, () => this.findFinal(id));
      if (!image) return undefined;
      const answer = {
        status: 201,
        body: { ...this.presenter.present(image), ...(duplicate && { duplicate }) },
      };
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
    return image && isFinal(image) ? image : undefined;
  }

  private limits() {
    return {
      ...fileLimitsOf(this.env),
      idleMs: this.env.UPLOAD_IDLE_TIMEOUT_MS,
      totalMs: this.env.UPLOAD_TIMEOUT_MS,
    };
  }
}

/** @throws ImageDeleted */
async function requireNotDeleted(em: EntityManager, id: string): Promise<void> {
  const deleted = await em.execute('select 1 from deleted_images where id = ?', [id]);
  if (deleted.length > 0) throw new ImageDeleted(id);
}
