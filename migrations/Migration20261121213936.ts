import { Migration } from '@mikro-orm/migrations';

export class Migration20261121213936 extends Migration {
  override name = 'Migration20261121213936';

  override up(): void | Promise<void> {
    this.addSql(`drop index "images_next_attempt_at_index";`);
    this.addSql(
      `create index images_due_index on images (user_id, next_attempt_at, id) where next_attempt_at is not null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "images_due_index";`);
    this.addSql(
      `create index images_next_attempt_at_index on images (user_id, next_attempt_at) where next_attempt_at is not null;`,
    );
  }
}
