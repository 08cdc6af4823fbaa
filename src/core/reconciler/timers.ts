import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { newId } from '../ids.js';
import { Shutdown } from '../process/shutdown.js';

/** A holder that says nothing for this long has died, in seconds. */
const LEASE_SECONDS = 60;
const RENEW_EVERY_MS = 20_000;
/** How long a run that failed rests: it may be heavy, and what failed may last, in seconds. */
const AGAIN_AFTER_SECONDS = 10 * 60;

/** Somebody else runs the work by now: this holder was silent for too long. */
class TimerLost extends Error {
  constructor(name: string) {
    super(`The lease on the timer ${name} is lost`);
    this.name = 'TimerLost';
  }
}

/**
 * Runs work by the clock, once for all replicas: when it is due next, and who runs it now, is a row.
 * All times are the database's.
 */
@Injectable()
export class Timers {
  constructor(
    private readonly em: EntityManager,
    private readonly shutdown: Shutdown,
  ) {}

  /**
   * Runs the work when its time of day has come and nobody else does.
   *
   * A run that fails is due again after a rest, one whose process stops at once, and one whose
   * process died when its lease is over: then it may run twice, and must be harmless when it does.
   *
   * @param at HH:MM in UTC; another one than before never puts off a run that is planned already
   * @param work must throw when its signal, which comes with shutdown or a lost lease, ends it early
   * @returns what the work returned, or undefined when it did not run
   */
  async runDaily<T>(
    name: string,
    at: string,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const leaseId = newId();
    if (!(await this.take(name, leaseId))) {
      await this.plan(name, at);
      return undefined;
    }
    const lost = new AbortController();
    const renewal = setInterval(() => {
      // A renewal that fails leaves the lease to run out, which harms nothing.
      this.hold(name, leaseId, LEASE_SECONDS).then(
        (isHeld) => {
          if (!isHeld) lost.abort(new TimerLost(name));
        },
        () => undefined,
      );
    }, RENEW_EVERY_MS);
    try {
      const result = await work(AbortSignal.any([this.shutdown.signal, lost.signal]));
      await this.finish(name, at, leaseId);
      return result;
    } catch (error) {
      const rest = this.shutdown.begun ? 0 : AGAIN_AFTER_SECONDS;
      // When the database is away, the lease runs out by itself.
      await this.hold(name, leaseId, rest).catch(() => undefined);
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }

  private async take(name: string, leaseId: string): Promise<boolean> {
    const taken = await this.em.fork().execute(
      `update timers set lease_id = ?, leased_until = now() + make_interval(secs => ?)
       where name = ? and next_run_at <= now() and (leased_until is null or leased_until <= now())
       returning 1`,
      [leaseId, LEASE_SECONDS, name],
    );
    return taken.length > 0;
  }

  /**
   * The first time that a name is seen, it is only written down: a start is no night. Later this
   * brings forward a run whose time of day was changed, and writes nothing otherwise.
   */
  private async plan(name: string, at: string): Promise<void> {
    await this.em.fork().execute(
      `insert into timers (name, next_run_at) values (?, ${NEXT})
       on conflict (name) do update set next_run_at = excluded.next_run_at
       where timers.next_run_at > excluded.next_run_at`,
      [name, at, at],
    );
  }

  /** Keeps others away for so long. @returns whether the timer is still ours */
  private async hold(name: string, leaseId: string, seconds: number): Promise<boolean> {
    const held = await this.em.fork().execute(
      `update timers set leased_until = now() + make_interval(secs => ?)
       where name = ? and lease_id = ? returning 1`,
      [seconds, name, leaseId],
    );
    return held.length > 0;
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
