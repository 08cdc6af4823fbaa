import { Migration } from '@mikro-orm/migrations';

export class Migration20261121101015 extends Migration {
  override name = 'Migration20261121101015';

  override up(): void | Promise<void> {
    this.addSql(`create index "file_removals_target_index" on "file_removals" ("target");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "file_removals_target_index";`);
  }
}
