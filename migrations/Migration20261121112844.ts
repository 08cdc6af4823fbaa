import { Migration } from '@mikro-orm/migrations';

export class Migration20261121112844 extends Migration {
  override name = 'Migration20261121112844';

  override up(): void | Promise<void> {
    this.addSql(`alter table "images" add "trace_parent" varchar(55) null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "images" drop column "trace_parent";`);
  }
}
