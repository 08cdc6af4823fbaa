import type { EntityManager } from '@mikro-orm/postgresql';
import DataLoader from 'dataloader';
import type { Compilable, CompiledQuery, Kysely, RawBuilder } from 'kysely';
import { prepare, runPrepared } from './prepared.js';

/** The most ids that one query asks for; those of more requests take several. */
const MAX_BATCH = 500;

interface Ids {
  ids: readonly string[];
}

interface Lookup<Tables, Row> {
  /** @param ids an array, for `= any (…::uuid[])` */
  query: (database: Kysely<Tables>, ids: RawBuilder<readonly string[]>) => Compilable<Row>;
  /** For which of the ids a row is. */
  idOf: (row: Row) => string;
}

/**
 * Rows that many requests ask for, each by an id: one query for all that come in the same turn of the
 * event loop, begun after they have come, so that none of them is told of old.
 */
export class RowsById<Tables, Row> {
  private readonly loader = new DataLoader<string, Row[]>((ids) => this.read(ids), {
    cache: false,
    maxBatchSize: MAX_BATCH,
    batchScheduleFn: setImmediate,
  });
  private statement: ((values: Ids) => CompiledQuery<Row>) | undefined;

  constructor(
    private readonly em: EntityManager,
    private readonly lookup: Lookup<Tables, Row>,
  ) {}

  /** @returns in the order of the query */
  find(id: string): Promise<Row[]> {
    return this.loader.load(id);
  }

  /** @returns those of each id, in the order of the ids */
  private async read(ids: readonly string[]): Promise<Row[][]> {
    const connection = this.em.getConnection();
    this.statement ??= prepare<Ids, Row>((valueOf) =>
      this.lookup.query(connection.getClient<Tables>(), valueOf('ids')),
    );
    const pool = await connection.getNativeClient();
    const rows = await runPrepared(pool, this.statement({ ids }));
    const byId = Map.groupBy(rows, (row) => this.lookup.idOf(row));
    return ids.map((id) => byId.get(id) ?? []);
  }
}
