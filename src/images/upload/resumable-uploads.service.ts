import { finished, type Readable, type Writable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { raw } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyRequest } from 'fastify';
import type { Principal } from '../../auth/access.js';
import { ENV, type Env } from '../../core/env.js';
import { conflict, findProblem, notFound, payloadTooLarge, Problem } from '../../core/problem.js';
import { Shutdown } from '../../core/shutdown.js';
import { ImageQuota } from './image-quota.js';
import { type GrowingFile, ResumableBytes } from './resumable-bytes.js';
import { ResumableCompletion } from './resumable-completion.js';
import { type ResumableLease, ResumableLeases } from './resumable-leases.js';
import { type AnnouncedFields, ResumableUpload } from './resumable-upload.entity.js';
import { tooManyOpenUploads, uploadOffsetMismatch } from './resumable.problems.js';
import { watchProgress } from './upload-form.js';

/** How many uploads one user may have begun and not finished. */
const MAX_OPEN = 100;
/** A request ends itself before Node would end it, with an answer that clients go on from. */
const SHARE_OF_TOTAL_TIME = 0.9;

/** How far an upload has come. */
export interface UploadProgress {
  upload: ResumableUpload;
  /** How many bytes have come, durably; all of them once it is settled. */
  offset: number;
  /** Whether the request was ended before its body: by a time limit, or because the API stops. */
  isCutShort: boolean;
}

/** Takes files in parts, over any number of requests, after the tus protocol. */
@Injectable()
export class ResumableUploads {
  constructor(
    private readonly em: EntityManager,
    private readonly bytes: ResumableBytes,
    private readonly leases: ResumableLeases,
    private readonly completion: ResumableCompletion,
    private readonly quota: ImageQuota,
    private readonly shutdown: Shutdown,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Begins an upload. What open uploads announce counts towards the quota, so that they cannot
   * fill the disk.
   *
   * @throws Problem `quota-exceeded`, `too-many-open-uploads`
   */
  async create(
    { userId }: Principal,
    bytes: number,
    fields: AnnouncedFields,
  ): Promise<ResumableUpload> {
    const hours = this.env.RESUMABLE_UPLOAD_HOURS;
    return this.em.fork().transactional(async (em) => {
      await this.quota.lock(em, userId);
      const open = await findOpen(em, userId);
      if (open.count >= MAX_OPEN) {
        throw new Problem(tooManyOpenUploads, `You have ${MAX_OPEN} unfinished uploads.`);
      }
      await this.quota.require(em, userId, open.bytes + bytes);
      const upload = new ResumableUpload({ userId, bytes, fields, hours });
      em.persist(upload);
      return upload;
    });
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
   * `quota-exceeded`, and what is wrong with the file
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
    return this.holding(upload, async (lease) => {
      const { offset, isCutShort } = await this.receive(upload, lease, from, request);
      if (offset < upload.bytes) return { upload, offset, isCutShort };
      return this.finish(upload, lease);
    });
  }

  /**
   * {@link append} for the body of the request that created the upload. When that fails, or breaks
   * off, the upload goes again: its client has not heard of it.
   */
  async begin(principal: Principal, id: string, request: FastifyRequest): Promise<UploadProgress> {
    try {
      const progress = await this.append(principal, id, 0, request);
      if (progress.isCutShort && request.raw.destroyed) await this.remove(principal, id);
      return progress;
    } catch (error) {
      await this.remove(principal, id);
      throw error;
    }
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

  private async receive(
    upload: ResumableUpload,
    lease: ResumableLease,
    from: number,
    request: FastifyRequest,
  ): Promise<UploadProgress> {
    const file = await this.bytes.open(upload.id);
    try {
      requireOffset(file.size, from);
      requireRoom(request, upload.bytes - from);
      await this.pour(request, file, upload.bytes, lease);
      await file.flush();
      return { upload, offset: file.size, isCutShort: !request.raw.readableEnded };
    } catch (error) {
      // Whoever sends more than was announced is not sending this file.
      if (isSurplus(error)) await file.cutTo(from);
      throw error;
    } finally {
      await file.close();
    }
  }

  /** Lets the body run into the file until it ends, stands still, or the process is to stop. */
  private async pour(
    request: FastifyRequest,
    file: GrowingFile,
    end: number,
    lease: ResumableLease,
  ): Promise<void> {
    const watch = watchProgress(request, {
      idleMs: this.env.UPLOAD_IDLE_TIMEOUT_MS,
      totalMs: this.env.UPLOAD_TIMEOUT_MS * SHARE_OF_TOTAL_TIME,
    });
    // Time that runs out ends the request, and is no error of the upload.
    watch.givenUp.catch(() => undefined);
    const stop = AbortSignal.any([watch.signal, this.shutdown.signal]);
    try {
      await pourInto(
        file.sink(end, () => lease.keep()),
        request.raw,
        stop,
      );
    } finally {
      watch.stop();
    }
  }
}

/** Leaves the body alive when it is stopped: an answer has to follow on its connection. */
function pourInto(sink: Writable, body: Readable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      body.unpipe(sink);
      sink.end();
    };
    signal.addEventListener('abort', stop);
    // A connection that broke: what came of it is kept.
    finished(body, { writable: false }, (error) => {
      if (error) stop();
    });
    finished(sink, (error) => {
      signal.removeEventListener('abort', stop);
      if (error) reject(error);
      else resolve();
    });
    if (signal.aborted) stop();
    else body.pipe(sink);
  });
}

async function findOpen(em: EntityManager, userId: string) {
  const [open] = await em.execute<{ count: string; bytes: string }[]>(
    `select count(*) as count, coalesce(sum(bytes), 0) as bytes from resumable_uploads
     where user_id = ? and image_id is null and error_code is null and expires_at > now()`,
    [userId],
  );
  return { count: Number(open?.count ?? 0), bytes: Number(open?.bytes ?? 0) };
}

/** @throws Problem the refusal of the file, again */
function settled(upload: ResumableUpload): UploadProgress {
  if (upload.errorCode != null) {
    throw new Problem(findProblem(upload.errorCode) ?? conflict, upload.errorDetail ?? undefined);
  }
  return { upload, offset: upload.bytes, isCutShort: false };
}

function requireOffset(offset: number, claimed: number): void {
  if (offset === claimed) return;
  throw new Problem(uploadOffsetMismatch, `${offset} bytes have arrived, not ${claimed}.`, {
    headers: { 'upload-offset': String(offset) },
  });
}

/** Refuses a body whose length alone shows that it goes on past the end of the file. */
function requireRoom({ headers }: FastifyRequest, bytes: number): void {
  if (Number(headers['content-length'] ?? 0) <= bytes) return;
  throw new Problem(payloadTooLarge, `The file has only ${bytes} bytes left.`);
}

function isSurplus(error: unknown): boolean {
  return error instanceof Problem && error.definition === payloadTooLarge;
}
