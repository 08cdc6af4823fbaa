import { TSMigrationGenerator } from '@mikro-orm/migrations';

/** How the `comment` of an entity says that its rows may be forgotten by a crash of the database. */
const UNLOGGED = 'unlogged';

/**
 * Writes migrations, with `create unlogged table` where an entity asks for it: MikroORM does not know
 * of it, and sees no difference afterwards.
 */
export class MigrationWriter extends TSMigrationGenerator {
  override createStatement(sql: string, padLeft: number): string {
    const [, table] = /^create table "(\w+)"/.exec(sql) ?? [];
    const isUnlogged = table !== undefined && this.unloggedTables().has(table);
    return super.createStatement(
      isUnlogged ? sql.replace('create table', 'create unlogged table') : sql,
      padLeft,
    );
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
