import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { newId } from './ids.js';

/** A holder that says nothing for this long has died, in seconds. */
const LEASE_SECONDS = 60;
const RENEW_EVERY_MS = 20_000;

/**
 * Runs work by the clock, once for all replicas: when it is due next, and who runs it now, is a row.
 */
@Injectable()
export class Timers {
  constructor(private readonly em: EntityManager) {}

  /**
   * Runs the work when its time of day has come and nobody else does. A run that fails is due again
   * when its lease is over.
   *
   * @param at HH:MM in UTC
   * @returns what the work returned, or undefined when it did not run
   */
  async runDaily<T>(name: string, at: string, work: () => Promise<T>): Promise<T | undefined> {
    const leaseId = newId();
    if (!(await this.take(name, at, leaseId))) return undefined;
    const renewal = setInterval(() => {
      // A renewal that fails leaves the lease to run out, which harms nothing.
      this.renew(name, leaseId).catch(() => undefined);
    }, RENEW_EVERY_MS);
    try {
      const result = await work();
      await this.finish(name, at, leaseId);
      return result;
    } finally {
      clearInterval(renewal);
    }
  }

  /** The first time that a name is seen, it is only written down: a start is no night. */
  private async take(name: string, at: string, leaseId: string): Promise<boolean> {
    const taken = await this.em.fork().execute(
      `update timers set lease_id = ?, leased_until = now() + make_interval(secs => ?)
       where name = ? and next_run_at <= now() and (leased_until is null or leased_until <= now())
       returning 1`,
      [leaseId, LEASE_SECONDS, name],
    );
    if (taken.length > 0) return true;
    await this.em
      .fork()
      .execute(
        `insert into timers (name, next_run_at) values (?, ${NEXT}) on conflict (name) do nothing`,
        [name, at, at],
      );
    return false;
  }

  private async renew(name: string, leaseId: string): Promise<void> {
    await this.em.fork().execute(
      `update timers set leased_until = now() + make_interval(secs => ?)
         where name = ? and lease_id = ?`,
      [LEASE_SECONDS, name, leaseId],
    );
  }

  private async finish(name: string, at: string, leaseId: string): Promise<void> {
    await this.em.fork().execute(
      `update timers
         set next_run_at = ${NEXT}, last_run_at = now(), lease_id = null, leased_until = null
         where name = ? and lease_id = ?`,
      [at, at, name, leaseId],
    );
  }
}

/** The next time that it is so late in UTC; takes that time of day twice. */
const NEXT = `(
  (now() at time zone 'UTC')::date + ?::time
  + case when (now() at time zone 'UTC')::time >= ?::time then interval '1 day' else interval '0' end
) at time zone 'UTC'`;
