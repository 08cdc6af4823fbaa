import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { newId } from '../../core/ids.js';
import { Problem } from '../../core/problems/problem.js';
import { uploadLocked } from './resumable.problems.js';

/**
 * How long a lease holds, in seconds. It is renewed only while bytes come, so that a request whose
 * connection went dead without a word lets go soon; this is how long its client has to wait.
 */
const LEASE_SECONDS = 4;
const RENEW_AFTER_MS = 1_000;

/** Lets one request at a time change an upload, over all processes: a lease in its row. */
@Injectable()
export class ResumableLeases {
  constructor(private readonly em: EntityManager) {}

  /**
   * Takes the lease of an upload that is not settled.
   *
   * @throws Problem `upload-locked` when another holds it, or the upload was settled meanwhile
   */
  async take(id: string): Promise<ResumableLease> {
    const lease = await this.tryTake(id);
    if (!lease) throw locked();
    return lease;
  }

  /** {@link take} for those who can do without. */
  async tryTake(id: string): Promise<ResumableLease | undefined> {
    const leaseId = newId();
    const taken = await this.em.fork().execute(
      `update resumable_uploads
       set lease_id = ?, leased_until = now() + make_interval(secs => ?)
       where id = ? and (leased_until is null or leased_until <= now())
         and image_id is null and error_code is null
       returning 1`,
      [leaseId, LEASE_SECONDS, id],
    );
    return taken.length > 0 ? new ResumableLease(this.em, id, leaseId) : undefined;
  }
}

/** The right to change one upload. */
export class ResumableLease {
  private renewedAt = performance.now();

  constructor(
    private readonly em: EntityManager,
    readonly uploadId: string,
    readonly leaseId: string,
  ) {}

  /**
   * Makes sure that the lease holds, and goes on to hold. One that ran out is taken again, unless
   * somebody else was faster.
   *
   * @throws Problem `upload-locked`
   */
  async keep(): Promise<void> {
    if (performance.now() - this.renewedAt < RENEW_AFTER_MS) return;
    const at = performance.now();
    const kept = await this.em.fork().execute(
      `update resumable_uploads set leased_until = now() + make_interval(secs => ?)
       where id = ? and lease_id = ? returning 1`,
      [LEASE_SECONDS, this.uploadId, this.leaseId],
    );
    if (kept.length === 0) throw locked();
    this.renewedAt = at;
  }

  /** Holds the lease until the work is done, whatever it waits for. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const renewal = setInterval(() => {
      // When a renewal fails, the writes that need the lease fail as well.
      this.keep().catch(() => undefined);
    }, RENEW_AFTER_MS);
    try {
      return await work();
    } finally {
      clearInterval(renewal);
    }
  }

  /** Lets the next request in. */
  async release(): Promise<void> {
    await this.em.fork().execute(
      `update resumable_uploads set lease_id = null, leased_until = null
       where id = ? and lease_id = ?`,
      [this.uploadId, this.leaseId],
    );
  }
}

function locked(): Problem {
  return new Problem(uploadLocked, undefined, {
    headers: { 'retry-after': String(LEASE_SECONDS) },
  });
}
