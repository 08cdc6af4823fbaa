import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { JobDefinition } from './job.js';
import { SettledAttempt, type SettledOutcome } from './settled-attempt.entity.js';

/** The spans of time that rates are told of, in minutes. */
const SPANS = { oneMinute: 1, fiveMinutes: 5, fifteenMinutes: 15 } as const;
type Span = keyof typeof SPANS;

const SPAN_NAMES = Object.keys(SPANS) as Span[];
/** After so long no rate asks for an attempt any more, in minutes. */
const KEPT_MINUTES = Math.max(...Object.values(SPANS));

/** How many attempts of a job ended how. */
export interface AttemptTally {
  /** With the work done. */
  readonly completed: number;
  /** With the work over and not done: refused, or given up. */
  readonly failed: number;
  /** Without success, and the work is tried again. */
  readonly retried: number;
}

/** What has been counted for a job. */
export interface JobCounts {
  readonly ever: AttemptTally;
  /** For each minute of a span that ends now. */
  readonly perMinute: Readonly<Record<Span, AttemptTally>>;
}

type CountRow = { type: string; outcome: SettledOutcome } & Record<Span | 'ever', number>;

/**
 * Counts how attempts end, for all replicas and for good. Each is a row of its own, since a counter
 * would have all workers wait for each other; a sweep adds up those that are over.
 */
@Injectable()
export class AttemptCounts {
  constructor(private readonly em: EntityManager) {}

  /** Counts with what an EntityManager is about to commit. */
  add(em: EntityManager, job: JobDefinition, outcome: SettledOutcome): void {
    em.persist(new SettledAttempt(job.name, outcome));
  }

  /** One statement, so that no attempt is in both tables or in none. @returns counts of any job */
  async read(): Promise<(job: JobDefinition) => JobCounts> {
    const columns = (column: (span: Span) => string) => SPAN_NAMES.map(column).join();
    const rows = await this.em.fork().execute<CountRow[]>(
      `select type, outcome, sum(ever)::float8 as ever,
              ${columns((span) => `sum("${span}")::float8 as "${span}"`)}
       from (
         select type, outcome, attempts as ever, ${columns((span) => `0 as "${span}"`)}
         from attempt_totals
         union all
         select type, outcome, count(*),
                ${columns((span) => `count(*) filter (where ${youngerThan(SPANS[span])})`)}
         from settled_attempts group by type, outcome
       ) as counts
       group by type, outcome`,
    );
    const byType = Map.groupBy(rows, ({ type }) => type);
    return ({ name }) => countsOf(byType.get(name) ?? []);
  }

  /** Adds attempts that no rate asks for any more to the totals. @returns how many */
  async fold(): Promise<number> {
    const [row] = await this.em.fork().execute<{ folded: number }[]>(
      `with old as (
         delete from settled_attempts where not (${youngerThan(KEPT_MINUTES)})
         returning type, outcome
       ), added as (
         insert into attempt_totals as total (type, outcome, attempts)
         select type, outcome, count(*) from old group by type, outcome order by type, outcome
         on conflict (type, outcome) do update set attempts = total.attempts + excluded.attempts
       )
       select count(*)::int as folded from old`,
    );
    return row?.folded ?? 0;
  }
}

function youngerThan(minutes: number): string {
  return `settled_at > now() - make_interval(mins => ${minutes})`;
}

function countsOf(rows: CountRow[]): JobCounts {
  const perMinute = SPAN_NAMES.map((span) => [span, tally(rows, (row) => row[span] / SPANS[span])]);
  return {
    ever: tally(rows, ({ ever }) => ever),
    perMinute: Object.fromEntries(perMinute) as JobCounts['perMinute'],
  };
}

function tally(rows: CountRow[], count: (row: CountRow) => number): AttemptTally {
  const sum = (...outcomes: SettledOutcome[]) =>
    rows
      .filter(({ outcome }) => outcomes.includes(outcome))
      .reduce((total, row) => total + count(row), 0);
  return {
    completed: sum('completed'),
    failed: sum('refused', 'dead_letter'),
    retried: sum('retried'),
  };
}
