import { finished, type Readable, type Writable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ENV, type Env } from '../../core/env.js';
import { payloadTooLarge, Problem } from '../../core/problems/problem.js';
import { Shutdown } from '../../core/process/shutdown.js';
import { type GrowingBytes, ResumableBytes } from './resumable-bytes.js';
import type { ResumableLease } from './resumable-leases.js';
import type { ResumableUpload } from './resumable-upload.entity.js';
import { uploadOffsetMismatch } from './resumable.problems.js';
import { type UploadTurn, watchProgress } from '../upload/upload-form.js';

/** A request ends itself before Node would end it, with an answer that clients go on from. */
const SHARE_OF_TOTAL_TIME = 0.9;

/** How far an upload has come. */
export interface UploadProgress {
  upload: ResumableUpload;
  /** How many bytes have come, durably; all of them once it is settled. */
  offset: number;
  /**
   * Whether the request was ended before its body: by a time limit, to make room for others, or
   * because the API stops.
   */
  isCutShort: boolean;
}

/** Lets the bodies of requests run into the file of a resumable upload. */
@Injectable()
export class ResumableReception {
  constructor(
    private readonly bytes: ResumableBytes,
    private readonly shutdown: Shutdown,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Adds the body to the file. What came stays, however the request ends; only what goes past the
   * end takes its whole part with it.
   *
   * @param from where the client believes that it goes on
   * @param turn ends the request when it makes room, as time that runs out does
   * @throws Problem `upload-offset-mismatch`, `payload-too-large`, `upload-locked`
   */
  async receive(
    upload: ResumableUpload,
    lease: ResumableLease,
    from: number,
    request: FastifyRequest,
    turn: UploadTurn,
  ): Promise<UploadProgress> {
    const file = await this.bytes.open(upload.id, lease);
    try {
      requireOffset(file.size, from);
      requireRoom(request, upload.bytes - from);
      await this.pour(request, file, upload.bytes, turn);
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

  /** Lets the body run into the file until it ends, stands still, or has to end. */
  private async pour(
    request: FastifyRequest,
    file: GrowingBytes,
    end: number,
    turn: UploadTurn,
  ): Promise<void> {
    const watch = watchProgress(request, {
      idleMs: this.env.UPLOAD_IDLE_TIMEOUT_MS,
      totalMs: this.env.UPLOAD_TIMEOUT_MS * SHARE_OF_TOTAL_TIME,
      turn,
    });
    // That ends the request, and is no error of the upload.
    watch.givenUp.catch(() => undefined);
    const stop = AbortSignal.any([watch.signal, this.shutdown.signal]);
    try {
      await pourInto(file.sink(end), request.raw, stop);
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

/** @throws Problem `upload-offset-mismatch`, which tells the offset */
export function requireOffset(offset: number, claimed: number): void {
  if (offset === claimed) return;
  throw new Problem(uploadOffsetMismatch, `${offset} bytes have arrived, not ${claimed}.`, {
    headers: { 'upload-offset': String(offset) },
  });
}

/** Refuses a body whose length alone shows that it goes on past the end of the file. */
export function requireRoom({ headers }: FastifyRequest, bytes: number): void {
  if (Number(headers['content-length'] ?? 0) <= bytes) return;
  throw new Problem(payloadTooLarge, `The file has only ${bytes} bytes left.`);
}

function isSurplus(error: unknown): boolean {
  return error instanceof Problem && error.definition === payloadTooLarge;
}
