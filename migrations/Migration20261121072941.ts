import { Migration } from '@mikro-orm/migrations';

export class Migration20261121072941 extends Migration {
  override name = 'Migration20261121072941';

  override up(): void | Promise<void> {
    this.addSql(`alter table "images" add "last_version" int not null default 0;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "images" drop column "last_version";`);
  }
}
