import { Inject, Injectable } from '@nestjs/common';
import { raw } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyRequest } from 'fastify';
import type { Principal } from '../../auth/access/principal.js';
import { ENV, type Env } from '../../core/env.js';
import { Idempotency, IdempotentRun } from '../../core/http/idempotency.js';
import { conflict, findProblem, notFound, Problem } from '../../core/problems/problem.js';
import { ImageQuota } from '../upload/image-quota.js';
import { UploadPlaces } from '../upload/upload-places.js';
import { ResumableBytes } from './resumable-bytes.js';
import { ResumableCompletion } from './resumable-completion.js';
import { type ResumableLease, ResumableLeases } from './resumable-leases.js';
import { type AnnouncedFields, ResumableUpload } from './resumable-upload.entity.js';
import {
  requireOffset,
  requireRoom,
  ResumableReception,
  type UploadProgress,
} from './resumable-reception.js';
import type { Announcement } from './resumable-protocol.js';
import { tooManyOpenUploads } from './resumable.problems.js';
import { discardBody } from '../upload/upload-form.js';

/** How many uploads one user may have begun and not finished. */
const MAX_OPEN = 100;

/** Names the operation among those that take an Idempotency-Key. */
const CREATE_ROUTE = 'images.uploads.create';
const NOTHING_YET = { offset: 0, isCutShort: false };

/** An upload, and whether it was begun before, by a request with the same Idempotency-Key. */
export interface BegunUpload extends UploadProgress {
  replayed: boolean;
}

/** Takes files in parts, over any number of requests, after the tus protocol. */
@Injectable()
export class ResumableUploads {
  constructor(
    private readonly em: EntityManager,
    private readonly bytes: ResumableBytes,
    private readonly places: UploadPlaces,
    private readonly leases: ResumableLeases,
    private readonly reception: ResumableReception,
    private readonly completion: ResumableCompletion,
    private readonly quota: ImageQuota,
    private readonly idempotency: Idempotency,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Begins an upload. What open uploads announce counts towards the quota, so that they cannot
   * fill the disk. For a key that was used before, tells how far the upload has come that it began.
   *
   * @param body the request, when it carries the first part
   * @throws Problem `quota-exceeded`, `too-many-open-uploads`, `idempotency-…`, and those of
   * {@link append}
   */
  async create(
    principal: Principal,
    { bytes, fields, idempotencyKey: key }: Announcement,
    body: FastifyRequest | undefined,
  ): Promise<BegunUpload> {
    const { userId: ownerId } = principal;
    const content = { bytes, ...fields };
    const run = await this.idempotency.begin({ ownerId, route: CREATE_ROUTE, key, content });
    if (!(run instanceof IdempotentRun)) {
      if (body) discardBody(body);
      const progress = await this.show(principal, (run.body as { id: string }).id);
      return { ...progress, replayed: true };
    }
    const upload = await this.announce(ownerId, { bytes, fields }, run);
    const progress = body ? await this.begin(principal, upload, run, body) : NOTHING_YET;
    return { upload, ...progress, replayed: false };
  }

  /**
   * Tells how far an upload has come. One that is whole and no image yet becomes one here: the
   * client takes a full offset for success.
   *
   * @throws Problem `not-found`, `upload-locked`, and the refusal of the file, again
   */
  async progress(principal: Principal, id: string): Promise<UploadProgress> {
    const upload = await this.find(principal, id);
    if (upload.isSettled) return settled(upload);
    const offset = await this.bytes.offset(id);
    if (offset < upload.bytes) return { upload, offset, isCutShort: false };
    return this.holding(upload, (lease) => this.finish(upload, lease));
  }

  /** How far an upload has come; changes nothing. @throws Problem `not-found` */
  async show(principal: Principal, id: string): Promise<UploadProgress> {
    const upload = await this.find(principal, id);
    const offset = upload.isSettled ? upload.bytes : await this.bytes.offset(id);
    return { upload, offset, isCutShort: false };
  }

  /**
   * Adds the body of a request. What came stays, however the request ends. With the last byte the
   * upload becomes an image.
   *
   * @param from where the client believes that it goes on
   * @throws Problem `not-found`, `upload-locked`, `upload-offset-mismatch`, `payload-too-large`,
   * `quota-exceeded`, `too-many-uploads`, and what is wrong with the file
   */
  async append(
    principal: Principal,
    id: string,
    from: number,
    request: FastifyRequest,
  ): Promise<UploadProgress> {
    const upload = await this.find(principal, id);
    if (upload.isSettled) {
      const progress = settled(upload);
      requireOffset(progress.offset, from);
      requireRoom(request, 0);
      return progress;
    }
    // In this order: a lease would run out while the request waits for a place.
    return this.places.hold(request, principal.userId, (turn) =>
      this.holding(upload, async (lease) => {
        const received = await this.reception.receive(upload, lease, from, request, turn);
        return received.offset < upload.bytes ? received : this.finish(upload, lease);
      }),
    );
  }

  /**
   * Ends an upload and removes its bytes. The image that it became stays.
   *
   * @throws Problem `not-found`, `upload-locked`
   */
  async remove(principal: Principal, id: string): Promise<void> {
    const upload = await this.find(principal, id);
    const forget = () => this.em.fork().nativeDelete(ResumableUpload, { id });
    await (upload.isSettled ? forget() : this.holding(upload, forget));
    await this.bytes.remove(id);
  }

  /** Commits the row, with the answer for its key, or leaves nothing. */
  private async announce(
    userId: string,
    announced: { bytes: number; fields: AnnouncedFields },
    run: IdempotentRun,
  ): Promise<ResumableUpload> {
    try {
      return await this.em.fork().transactional(async (em) => {
        await this.quota.lock(em, userId);
        if ((await countOpen(em, userId)) >= MAX_OPEN) {
          throw new Problem(tooManyOpenUploads, `You have ${MAX_OPEN} unfinished uploads.`);
        }
        await this.quota.require(em, userId, announced.bytes);
        const hours = this.env.RESUMABLE_UPLOAD_HOURS;
        const upload = new ResumableUpload({ userId, ...announced, hours });
        await em.persist(upload).flush();
        await run.complete(em, { status: 201, body: { id: upload.id } });
        return upload;
      });
    } catch (error) {
      await run.abandon().catch(() => undefined);
      throw error;
    }
  }

  /**
   * {@link append} for the body of the request that created the upload. When that fails, or breaks
   * off, the upload goes again: its client has not heard of it.
   */
  private async begin(
    principal: Principal,
    { id }: ResumableUpload,
    run: IdempotentRun,
    body: FastifyRequest,
  ): Promise<UploadProgress> {
    const undo = async () => {
      await this.remove(principal, id);
      await run.withdraw();
    };
    try {
      const progress = await this.append(principal, id, 0, body);
      if (progress.isCutShort && body.raw.destroyed) await undo();
      return progress;
    } catch (error) {
      await undo();
      throw error;
    }
  }

  /** @throws Problem `not-found`, also for one that has expired or is someone else's */
  private async find({ userId }: Principal, id: string): Promise<ResumableUpload> {
    const open = { id, userId, expiresAt: { $gt: raw<Date>('now()') } };
    const upload = await this.em.fork().findOne(ResumableUpload, open);
    if (!upload) throw new Problem(notFound);
    return upload;
  }

  private async holding<T>(
    { id }: ResumableUpload,
    work: (lease: ResumableLease) => Promise<T>,
  ): Promise<T> {
    const lease = await this.leases.take(id);
    try {
      return await work(lease);
    } finally {
      await lease.release();
    }
  }

  private async finish(upload: ResumableUpload, lease: ResumableLease): Promise<UploadProgress> {
    upload.imageId = await this.completion.finish(upload, lease);
    return settled(upload);
  }
}

async function countOpen(em: EntityManager, userId: string): Promise<number> {
  const [open] = await em.execute<{ count: string }[]>(
    `select count(*) as count from resumable_uploads
     where user_id = ? and image_id is null and error_code is null and expires_at > now()`,
    [userId],
  );
  return Number(open?.count ?? 0);
}

/** @throws Problem the refusal of the file, again */
function settled(upload: ResumableUpload): UploadProgress {
  if (upload.errorCode != null) {
    throw new Problem(findProblem(upload.errorCode) ?? conflict, upload.errorDetail ?? undefined);
  }
  return { upload, offset: upload.bytes, isCutShort: false };
}
