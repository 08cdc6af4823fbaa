import { Migration } from '@mikro-orm/migrations';

export class Migration20261122075609 extends Migration {
  override name = 'Migration20261122075609';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "generations" ("id" uuid not null, "user_id" uuid not null, "status" text not null, "model" varchar(100) not null, "driver" varchar(16) not null, "prompt" text not null, "aspect_ratio" text not null, "size" text not null, "seed" bigint not null, "style" text null, "source_image_ids" uuid[] not null, "count" smallint not null, "price_per_picture" bigint not null, "hold_id" uuid not null, "coins_charged" bigint null, "usage" jsonb null, "cost_micros" bigint null, "latency_ms" int null, "error_code" varchar(100) null, "error_detail" text null, "error_reason" varchar(100) null, "deadline_at" timestamptz(3) null, "revision" int not null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, "finished_at" timestamptz(3) null, "attempts" smallint not null default 0, "next_attempt_at" timestamptz(3) null, "lease_id" uuid null, "leased_until" timestamptz(3) null, "queued_at" timestamptz(3) null, "request_id" varchar(100) null, "trace_parent" varchar(55) null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "generations" is 'Pictures that models are asked for, and what became of them';`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_hold_id_unique" unique ("hold_id");`,
    );
    this.addSql(
      `create index "generations_user_id_created_at_id_index" on "generations" ("user_id", "created_at", "id");`,
    );
    this.addSql(`create index "generations_created_at_index" on "generations" ("created_at");`);
    this.addSql(
      `create index generations_at_work_index on generations (user_id) where queued_at is not null or leased_until is not null;`,
    );
    this.addSql(
      `create index generations_due_index on generations (user_id, next_attempt_at, id) where next_attempt_at is not null;`,
    );

    this.addSql(
      `create table "generation_images" ("generation_id" uuid not null, "position" smallint not null, "image_id" uuid not null, primary key ("generation_id", "position"));`,
    );
    this.addSql(
      `comment on table "generation_images" is 'Which images are made by which generation';`,
    );
    this.addSql(
      `alter table "generation_images" add constraint "generation_images_image_id_unique" unique ("image_id");`,
    );

    this.addSql(
      `create table "coin_accounts" ("id" uuid not null, "kind" text not null, "user_id" uuid null, "posted" bigint not null default '0', "held" bigint not null default '0', "created_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `insert into coin_accounts (id, kind, created_at) values ('00000000-0000-8000-8000-000000000001', 'ISSUED', now()), ('00000000-0000-8000-8000-000000000002', 'REVENUE', now()), ('00000000-0000-8000-8000-000000000003', 'PROMOTIONS', now());`,
    );
    this.addSql(
      `comment on table "coin_accounts" is 'Who has coins; of users with what they have';`,
    );
    this.addSql(
      `alter table "coin_accounts" add constraint "coin_accounts_user_id_unique" unique ("user_id");`,
    );
    this.addSql(
      `create unique index coin_accounts_system_unique on coin_accounts (kind) where kind <> 'USER';`,
    );

    this.addSql(
      `create table "coin_transfers" ("id" uuid not null, "account_id" uuid not null, "debit_account_id" uuid not null, "credit_account_id" uuid not null, "amount" bigint not null, "kind" text not null, "phase" text not null, "reference" varchar(200) not null, "hold_id" uuid null, "created_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "coin_transfers" is 'append-only: coins that moved from one account to another, or were on hold for it';`,
    );
    this.addSql(
      `create index "coin_transfers_account_id_created_at_id_index" on "coin_transfers" ("account_id", "created_at", "id");`,
    );
    this.addSql(
      `create unique index coin_transfers_reference_unique on coin_transfers (reference, kind) where phase in ('SINGLE', 'HOLD');`,
    );
    this.addSql(
      `create unique index coin_transfers_hold_id_unique on coin_transfers (hold_id) where hold_id is not null;`,
    );

    this.addSql(`alter table "images" drop constraint "images_unfinished_is_work";`);
    this.addSql(`alter table "images" add "provenance" jsonb null;`);
    this.addSql(`alter table "images" alter column "checksum" drop not null;`);
    this.addSql(`alter table "images" alter column "metadata" drop not null;`);
    this.addSql(
      `alter table "images" add constraint "images_made_is_known" check ((type = 'GENERATED' and version = 0) or (metadata is not null and checksum is not null));`,
    );
    this.addSql(
      `alter table "images" add constraint "images_generated_has_provenance" check ((type = 'GENERATED' and version > 0) = (provenance is not null));`,
    );
    this.addSql(
      `alter table "images" add constraint "images_unfinished_is_work" check ((status in ('PENDING', 'PROCESSING') and not (type = 'GENERATED' and version = 0)) = (next_attempt_at is not null));`,
    );

    this.addSql(
      `alter table "generations" add constraint "generations_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade;`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_count" check (count >= 1 and count <= 4);`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_price" check (price_per_picture > 0);`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_unfinished_is_work" check ((status in ('PENDING', 'PROCESSING')) = (next_attempt_at is not null));`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_final_is_settled" check ((status in ('COMPLETED', 'FAILED')) = (coins_charged is not null and finished_at is not null));`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_failed_costs_nothing" check (status <> 'FAILED' or (coins_charged = 0 and error_code is not null));`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_charged_as_held" check (coins_charged >= 0 and coins_charged <= price_per_picture * count);`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_status_check" check ("status" in ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED'));`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_aspect_ratio_check" check ("aspect_ratio" in ('1:1', '2:3', '3:2', '3:4', '4:3', '4:5', '5:4', '9:16', '16:9', '21:9'));`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_size_check" check ("size" in ('1K', '2K', '4K'));`,
    );
    this.addSql(
      `alter table "generations" add constraint "generations_style_check" check ("style" in ('natural', 'watercolour', 'poster', 'line', 'night'));`,
    );

    this.addSql(
      `alter table "generation_images" add constraint "generation_images_generation_id_foreign" foreign key ("generation_id") references "generations" ("id") on delete cascade;`,
    );
    this.addSql(
      `alter table "generation_images" add constraint "generation_images_image_id_foreign" foreign key ("image_id") references "images" ("id") on delete cascade;`,
    );

    this.addSql(
      `alter table "coin_accounts" add constraint "coin_accounts_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete restrict;`,
    );
    this.addSql(
      `alter table "coin_accounts" add constraint "coin_accounts_users_have_users" check ((kind = 'USER') = (user_id is not null));`,
    );
    this.addSql(
      `alter table "coin_accounts" add constraint "coin_accounts_system_is_computed" check (kind = 'USER' or (posted = 0 and held = 0));`,
    );
    this.addSql(
      `alter table "coin_accounts" add constraint "coin_accounts_bounds" check (held >= 0 and held <= 9007199254740991 and posted >= -9007199254740991 and posted <= 9007199254740991 and posted - held >= -9007199254740991);`,
    );
    this.addSql(
      `alter table "coin_accounts" add constraint "coin_accounts_kind_check" check ("kind" in ('USER', 'ISSUED', 'REVENUE', 'PROMOTIONS'));`,
    );

    this.addSql(
      `alter table "coin_transfers" add constraint "coin_transfers_account_id_foreign" foreign key ("account_id") references "coin_accounts" ("id") on delete restrict;`,
    );
    this.addSql(
      `alter table "coin_transfers" add constraint "coin_transfers_hold_id_foreign" foreign key ("hold_id") references "coin_transfers" ("id") on delete restrict;`,
    );
    this.addSql(
      `alter table "coin_transfers" add constraint "coin_transfers_amount_is_whole_and_positive" check (amount >= 1 and amount <= 9007199254740991);`,
    );
    this.addSql(
      `alter table "coin_transfers" add constraint "coin_transfers_endings_have_holds" check ((phase in ('POST', 'VOID', 'EXPIRE')) = (hold_id is not null));`,
    );
    this
      .addSql(`alter table "coin_transfers" add constraint "coin_transfers_accounts_are_of_the_kind" check ((account_id = debit_account_id or account_id = credit_account_id) and account_id <> all (array['00000000-0000-8000-8000-000000000001'::uuid, '00000000-0000-8000-8000-000000000002'::uuid, '00000000-0000-8000-8000-000000000003'::uuid])
        and case account_id when debit_account_id then credit_account_id else debit_account_id end = case kind when 'PURCHASE' then '00000000-0000-8000-8000-000000000001'::uuid when 'REWARD' then '00000000-0000-8000-8000-000000000003'::uuid when 'GENERATION' then '00000000-0000-8000-8000-000000000002'::uuid when 'REFUND' then '00000000-0000-8000-8000-000000000002'::uuid when 'CLAWBACK' then '00000000-0000-8000-8000-000000000001'::uuid when 'ADJUSTMENT' then '00000000-0000-8000-8000-000000000001'::uuid else null::uuid end
        and case account_id when debit_account_id then kind <> all (array['PURCHASE', 'REWARD', 'REFUND'])
                            else kind <> all (array['GENERATION', 'CLAWBACK']) end);`);
    this.addSql(
      `alter table "coin_transfers" add constraint "coin_transfers_has_reference" check (reference <> '');`,
    );
    this.addSql(
      `alter table "coin_transfers" add constraint "coin_transfers_kind_check" check ("kind" in ('PURCHASE', 'REWARD', 'GENERATION', 'REFUND', 'CLAWBACK', 'ADJUSTMENT'));`,
    );
    this.addSql(
      `alter table "coin_transfers" add constraint "coin_transfers_phase_check" check ("phase" in ('SINGLE', 'HOLD', 'POST', 'VOID', 'EXPIRE'));`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(
      `alter table "generation_images" drop constraint "generation_images_generation_id_foreign";`,
    );
    this.addSql(
      `alter table "coin_transfers" drop constraint "coin_transfers_account_id_foreign";`,
    );
    this.addSql(`alter table "coin_transfers" drop constraint "coin_transfers_hold_id_foreign";`);

    this.addSql(`drop table if exists "generations" cascade;`);
    this.addSql(`drop table if exists "generation_images" cascade;`);
    this.addSql(`drop table if exists "coin_accounts" cascade;`);
    this.addSql(`drop table if exists "coin_transfers" cascade;`);

    this.addSql(`alter table "images" drop constraint "images_made_is_known";`);
    this.addSql(`alter table "images" drop constraint "images_generated_has_provenance";`);
    this.addSql(`alter table "images" drop constraint "images_unfinished_is_work";`);
    this.addSql(`alter table "images" drop column "provenance";`);
    this.addSql(`alter table "images" alter column "metadata" set not null;`);
    this.addSql(`alter table "images" alter column "checksum" set not null;`);
    this.addSql(
      `alter table "images" add constraint "images_unfinished_is_work" check ((status in ('PENDING', 'PROCESSING')) = (next_attempt_at is not null));`,
    );
  }
}
