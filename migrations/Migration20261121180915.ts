import { Migration } from '@mikro-orm/migrations';

export class Migration20261121180915 extends Migration {
  override name = 'Migration20261121180915';

  override up(): void | Promise<void> {
    this.addSql(
      `create index images_at_work_index on images (user_id) where queued_at is not null or leased_until is not null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "images_at_work_index";`);
  }
}
