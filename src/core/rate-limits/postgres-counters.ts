import type { EntityManager } from '@mikro-orm/postgresql';
import { type CompiledQuery, sql } from 'kysely';
import { prepare, runPrepared } from '../database/prepared.js';
import { Counters, type Hits, NOTHING, type Tally } from './counters.js';

interface HitValues {
  keys: string[];
  times: number[];
  windowSeconds: number;
}

interface CountedRow extends Tally {
  key: string;
}

const TALLY = sql`count, extract(epoch from resets_at - now())::float8 as "resetsInSeconds"`;

/** In PostgreSQL, by its clock: one statement for each call, so that no two see the same count. */
export class PostgresCounters extends Counters {
  private hitStatement: ((values: HitValues) => CompiledQuery<CountedRow>) | undefined;
  private lookStatement: ((values: { key: string }) => CompiledQuery<Tally>) | undefined;

  constructor(private readonly em: EntityManager) {
    super();
  }

  /** Always in the order of the keys: two that lock the same rows never wait for each other. */
  override async hitAll(hits: readonly Hits[], windowSeconds: number): Promise<Tally[]> {
    this.hitStatement ??= this.prepareHit();
    const keys = hits.map(({ key }) => key);
    const times = hits.map(({ times }) => times);
    const rows = await this.run(this.hitStatement({ keys, times, windowSeconds }));
    const tallies = new Map(rows.map((row) => [row.key, row]));
    return keys.map((key) => tallies.get(key) ?? NOTHING);
  }

  override async look(key: string): Promise<Tally> {
    this.lookStatement ??= this.prepareLook();
    const [tally] = await this.run(this.lookStatement({ key }));
    return tally ?? NOTHING;
  }

  override async forgetPast(): Promise<number> {
    const { affectedRows } = await this.em.fork().execute<{ affectedRows: number }>(
      `delete from counters where key in (
         select key from counters where resets_at <= now() for update skip locked
       )`,
      [],
      'run',
    );
    return affectedRows;
  }

  private prepareHit() {
    return prepare<HitValues, CountedRow>((valueOf) =>
      this.compilable<CountedRow>(
        sql`insert into counters as held (key, count, resets_at)
            select key, times,
                   date_trunc('milliseconds', now())
                     + make_interval(secs => ${valueOf('windowSeconds')}::float8)
            from unnest(${valueOf('keys')}::text[], ${valueOf('times')}::int[]) as hits (key, times)
            order by key
            on conflict (key) do update set
              count = case when held.resets_at <= now() then 0 else held.count end + excluded.count,
              resets_at =
                case when held.resets_at <= now() then excluded.resets_at else held.resets_at end
            returning key, ${TALLY}`,
      ),
    );
  }

  private prepareLook() {
    return prepare<{ key: string }, Tally>((valueOf) =>
      this.compilable<Tally>(
        sql`select ${TALLY} from counters where key = ${valueOf('key')} and resets_at > now()`,
      ),
    );
  }

  private compilable<Row>(statement: ReturnType<typeof sql<Row>>) {
    return { compile: () => statement.compile(this.em.getConnection().getClient()) };
  }

  private async run<Row>(statement: CompiledQuery<Row>): Promise<Row[]> {
    return runPrepared(await this.em.getConnection().getNativeClient(), statement);
  }
}
