import { TSMigrationGenerator } from '@mikro-orm/migrations';
import { INSERT_SYSTEM_ACCOUNTS } from './coins/coin-account.entity.js';

/** How the `comment` of an entity says that its rows may be forgotten by a crash of the database. */
const UNLOGGED = 'unlogged';

/** The rows that tables begin with, since the product cannot do without them. */
const FIRST_ROWS: Readonly<Record<string, string>> = { coin_accounts: INSERT_SYSTEM_ACCOUNTS };

/**
 * Writes migrations, with `create unlogged table` where an entity asks for it, and with the first rows
 * of a table that has some: MikroORM knows of neither, and sees no difference afterwards.
 */
export class MigrationWriter extends TSMigrationGenerator {
  override createStatement(sql: string, padLeft: number): string {
    const [, table] = /^create table "(\w+)"/.exec(sql) ?? [];
    const isUnlogged = table !== undefined && this.unloggedTables().has(table);
    const created = super.createStatement(
      isUnlogged ? sql.replace('create table', 'create unlogged table') : sql,
      padLeft,
    );
    const rows = table === undefined ? undefined : FIRST_ROWS[table];
    return rows === undefined ? created : created + super.createStatement(rows, padLeft);
  }

  private unloggedTables(): Set<string> {
    const entities = [...this.driver.getMetadata().getAll().values()];
    return new Set(
      entities
        .filter(({ comment }) => comment?.startsWith(UNLOGGED))
        .map(({ tableName }) => tableName),
    );
  }
}
