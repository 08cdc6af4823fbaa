import { Inject, Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { SILENT_HOLDER_MS } from '../core/database/session-limits.js';
import { ENV, type Env } from '../core/env.js';
import type { JobDefinition } from './job.js';

/** A row that was handed over this long ago and is still due has lost its carrier, in seconds. */
const CARRIER_LOST_AFTER_SECONDS = 10;
/** What was handed over then, or earlier, has lost its carrier. */
const LOST = `now() - make_interval(secs => ${CARRIER_LOST_AFTER_SECONDS})`;
/** A row that may be handed over. */
const DUE = `next_attempt_at <= now() and (leased_until is null or leased_until <= now())
  and (queued_at is null or queued_at <= ${LOST})`;
/** A row that takes one of its owner's places: in the words of the index of such rows. */
const BUSY = `(queued_at is not null or leased_until is not null) and next_attempt_at is not null
  and (leased_until > now() or queued_at > ${LOST})`;
/** The most rows that one round hands over. */
const ROUND_SIZE = 500;

/** A row that is to be handed over. */
export interface TakenRow {
  id: string;
  attempts: number;
  request_id: string | null;
  trace_parent: string | null;
  /** Whether it was handed over before, for the same attempt. */
  was_queued: boolean;
}

/** Whose rows a round looks at: those of one owner, or of all. */
export type Whose = { rowId: string } | { ownerId: string } | 'everyone';

/** A query of owners, with its parameters. */
interface Owners {
  query: string;
  parameters: string[];
}

/**
 * Decides which rows come next: owners in turn, the oldest of each first, at most `QUEUE_PER_OWNER`
 * rows of one owner, or as many as the job says, in the queue or at work at once. Who has some there
 * already comes after who has none.
 *
 * Where a job says how many there may be of all owners, each round looks at all of them: what becomes
 * free is for whoever is next, and not for whose work has just been done.
 */
@Injectable()
export class Rounds {
  constructor(
    private readonly em: EntityManager,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Marks the rows of the next round as queued. Rounds of one job run one after the other, because
   * two at once would both see the same free places. A process that freezes in its own loses it soon,
   * and rows that somebody holds, as an erasure of many does, are left to the next.
   *
   * Of each owner no more rows are read than it has places, in the order of the index: a round must
   * not take longer because thousands wait. A planner that has not heard of those would read all of
   * them by a bitmap, or sort them.
   *
   * @param patienceMs how long to wait for the rounds of others, in milliseconds
   */
  take(job: JobDefinition, whose: Whose, patienceMs: number): Promise<TakenRow[]> {
    const { table, owner } = this.names(job);
    const owners = this.ownersOf(job, job.atOnce ? 'everyone' : whose);
    const perOwner = job.perOwner?.(this.env) ?? this.env.QUEUE_PER_OWNER;
    const room = job.atOnce
      ? `greatest(0, least(${ROUND_SIZE}, ? - (select count(*) from ${table} where ${BUSY})))`
      : '?';
    return this.em.fork().transactional(async (em) => {
      await em.execute(
        `select set_config('lock_timeout', ?, true),
                set_config('idle_in_transaction_session_timeout', ?, true),
                set_config('enable_bitmapscan', 'off', true),
                set_config('enable_sort', 'off', true)`,
        [`${patienceMs}ms`, `${SILENT_HOLDER_MS}ms`],
      );
      await em.execute(`select pg_advisory_xact_lock(hashtext(?))`, [`dispatch:${job.name}`]);
      return em.execute<TakenRow[]>(
        `with owners as (${owners.query}), waiting as (
           select rows.*, busy.places + row_number() over (
             partition by owners.owner order by rows.next_attempt_at, rows.id
           ) as turn
           from owners cross join lateral (
             select count(*) as places from ${table} where ${owner} = owners.owner and ${BUSY}
           ) as busy cross join lateral (
             select id, next_attempt_at, queued_at is not null as was_queued
             from ${table} where ${owner} = owners.owner and ${DUE}
             order by next_attempt_at, id
             limit greatest(0, ? - busy.places)
           ) as rows
         ), chosen as (
           select * from waiting order by turn, next_attempt_at, id limit ${room}
         ), free as (
           select id from ${table} where id = any (array(select id from chosen)) and ${DUE}
           for update skip locked
         ), taken as (
           update ${table} set queued_at = now() where id = any (array(select id from free))
           returning id, attempts, request_id, trace_parent
         )
         select taken.*, chosen.was_queued from taken join chosen using (id)
         order by turn, next_attempt_at, id`,
        [...owners.parameters, perOwner, job.atOnce?.(this.env) ?? ROUND_SIZE],
      );
    });
  }

  /** Has all carriers count as lost at once: their rows take their turn again. */
  async forgetCarriers(job: JobDefinition): Promise<void> {
    await this.em.fork().execute(
      `update ${this.names(job).table} set queued_at = ${LOST}
         where next_attempt_at is not null and queued_at is not null`,
    );
  }

  /**
   * Lets rows that were not handed over take their turn again at once: as lost, because there may be
   * something of their carriers.
   */
  async putBack(job: JobDefinition, rows: TakenRow[]): Promise<void> {
    await this.em.fork().execute(
      `update ${this.names(job).table} set queued_at = ${LOST}
         where id in (${rows.map(() => '?').join()}) and queued_at is not null`,
      rows.map(({ id }) => id),
    );
  }

  private ownersOf(job: JobDefinition, whose: Whose): Owners {
    const { table, owner } = this.names(job);
    if (whose === 'everyone') return { query: everyOwner(table, owner), parameters: [] };
    if ('ownerId' in whose)
      return { query: 'select ?::uuid as owner', parameters: [whose.ownerId] };
    const query = `select ${owner} as owner from ${table} where id = ?`;
    return { query, parameters: [whose.rowId] };
  }

  private names(job: JobDefinition): { table: string; owner: string } {
    const { tableName, properties } = this.em.getMetadata().get(job.entity);
    const owner = properties[job.owner as keyof typeof properties].fieldNames[0];
    return { table: `"${tableName}"`, owner: `"${owner}"` };
  }
}

/**
 * Those who have rows that are not done: from one to the next by the index of such rows, which has all
 * rows of all of them.
 */
function everyOwner(table: string, owner: string): string {
  const next = (condition: string) =>
    `select ${owner} as owner from ${table}
     where next_attempt_at is not null ${condition} order by ${owner} limit 1`;
  return `with recursive each_owner as (
      (${next('')})
      union all
      select (${next(`and ${owner} > each_owner.owner`)}) from each_owner
      where each_owner.owner is not null
    )
    select owner from each_owner where owner is not null`;
}
