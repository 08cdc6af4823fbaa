import { Migration } from '@mikro-orm/migrations';

export class Migration20261122104525 extends Migration {
  override name = 'Migration20261122104525';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "erased_generation_costs" ("day" date not null, "model" varchar(100) not null, "driver" varchar(16) not null, "generations" bigint not null, "failed" bigint not null, "pictures" bigint not null, "coins_charged" bigint not null, "cost_micros" bigint null, primary key ("day", "model", "driver"));`,
    );
    this.addSql(
      `comment on table "erased_generation_costs" is 'What the generations of people who were erased came to, by day and model';`,
    );

    this.addSql(
      `create table "model_slots" ("model" varchar(100) not null, "next_at" timestamptz(3) not null, primary key ("model"));`,
    );
    this.addSql(
      `comment on table "model_slots" is 'When each model may be asked for the next picture, where there is a rate';`,
    );

    this.addSql(
      `create index generations_deadline_index on generations (deadline_at) where next_attempt_at is not null and deadline_at is not null;`,
    );
    this.addSql(
      `create index generations_abandoned_index on generations (user_id, finished_at) where error_code = 'cancelled' and attempts > 0;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table if exists "erased_generation_costs" cascade;`);
    this.addSql(`drop table if exists "model_slots" cascade;`);

    this.addSql(`drop index "generations_deadline_index";`);
    this.addSql(`drop index "generations_abandoned_index";`);
  }
}
