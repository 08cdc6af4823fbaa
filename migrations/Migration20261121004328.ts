import { Migration } from '@mikro-orm/migrations';

export class Migration20261121004328 extends Migration {
  override name = 'Migration20261121004328';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "failed_jobs" ("id" uuid not null, "type" varchar(100) not null, "row_id" uuid not null, "data" jsonb not null, "error" text not null, "fingerprint" varchar(16) not null, "attempts" smallint not null, "status" text not null default 'FAILED', "request_id" varchar(100) null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "failed_jobs" is 'The dead letter queue: work that used up its attempts on a fault of ours or a vendor';`,
    );
    this.addSql(`create index "failed_jobs_fingerprint_index" on "failed_jobs" ("fingerprint");`);
    this.addSql(
      `create index "failed_jobs_type_row_id_index" on "failed_jobs" ("type", "row_id");`,
    );
    this.addSql(
      `create index "failed_jobs_status_created_at_index" on "failed_jobs" ("status", "created_at");`,
    );

    this.addSql(
      `create table "idempotency_keys" ("owner_id" uuid not null, "route" varchar(100) not null, "key" varchar(255) not null, "fingerprint" varchar(64) not null, "lease_id" uuid not null, "leased_until" timestamptz(3) not null, "status" smallint null, "body" jsonb null, "created_at" timestamptz(3) not null, primary key ("owner_id", "route", "key"));`,
    );
    this.addSql(
      `comment on table "idempotency_keys" is 'Answers of POST requests that carried an Idempotency-Key, kept for 24 hours';`,
    );
    this.addSql(
      `create index "idempotency_keys_created_at_index" on "idempotency_keys" ("created_at");`,
    );

    this.addSql(
      `create table "studios" ("id" uuid not null, "name" varchar(200) not null, "timezone" varchar(64) not null default 'UTC', "locale" varchar(35) not null default 'en', "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(`comment on table "studios" is 'Tenants: businesses with customers of their own';`);

    this.addSql(
      `create table "users" ("id" uuid not null, "email" varchar(254) not null, "password_hash" varchar(255) null, "google_id" varchar(255) null, "first_name" varchar(200) null, "last_name" varchar(200) null, "roles" text[] not null default '{USER}', "language" varchar(35) not null default 'en', "email_verified_at" timestamptz(3) null, "disabled_at" timestamptz(3) null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(`comment on table "users" is 'Accounts of people';`);
    this.addSql(`alter table "users" add constraint "users_email_unique" unique ("email");`);
    this.addSql(
      `alter table "users" add constraint "users_google_id_unique" unique ("google_id");`,
    );

    this.addSql(
      `create table "studio_members" ("studio_id" uuid not null, "user_id" uuid not null, "role" text not null, "created_at" timestamptz(3) not null, primary key ("studio_id", "user_id"));`,
    );
    this.addSql(`comment on table "studio_members" is 'Who works at which studio, and as what';`);
    this.addSql(`create index "studio_members_user_id_index" on "studio_members" ("user_id");`);

    this.addSql(
      `create table "images" ("id" uuid not null, "user_id" uuid not null, "type" text not null, "status" text not null, "title" varchar(200) null, "description" text null, "prompt" text null, "visibility" text not null default 'private', "storage_key" varchar(200) not null, "metadata" jsonb not null, "coins_used" bigint not null default '0', "checksum" varchar(64) not null, "placeholder" varchar(100) null, "error_code" varchar(100) null, "error_detail" text null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, "attempts" smallint not null default 0, "next_attempt_at" timestamptz(3) null, "lease_id" uuid null, "leased_until" timestamptz(3) null, "queued_at" timestamptz(3) null, "request_id" varchar(100) null, primary key ("id"));`,
    );
    this.addSql(`comment on table "images" is 'Pictures that users uploaded or had made';`);
    this.addSql(
      `create index "images_user_id_created_at_id_index" on "images" ("user_id", "created_at", "id");`,
    );
    this.addSql(
      `create index images_next_attempt_at_index on images (user_id, next_attempt_at) where next_attempt_at is not null;`,
    );

    this.addSql(
      `create table "image_variants" ("image_id" uuid not null, "name" text not null, "storage_key" varchar(200) not null, "width" int not null, "height" int not null, "bytes" int not null, "format" varchar(10) not null, primary key ("image_id", "name"));`,
    );
    this.addSql(`comment on table "image_variants" is 'The stored sizes of a completed image';`);

    this.addSql(
      `alter table "failed_jobs" add constraint "failed_jobs_status_check" check ("status" in ('FAILED', 'RETRYING', 'RESOLVED'));`,
    );

    this.addSql(
      `alter table "users" add constraint "users_email_lower_case" check (email = lower(email));`,
    );
    this.addSql(
      `alter table "users" add constraint "users_roles_check" check ("roles" <@ array['USER'::text, 'ADMIN'::text]);`,
    );

    this.addSql(
      `alter table "studio_members" add constraint "studio_members_studio_id_foreign" foreign key ("studio_id") references "studios" ("id") on update cascade on delete cascade;`,
    );
    this.addSql(
      `alter table "studio_members" add constraint "studio_members_user_id_foreign" foreign key ("user_id") references "users" ("id") on update cascade on delete cascade;`,
    );
    this.addSql(
      `alter table "studio_members" add constraint "studio_members_role_check" check ("role" in ('OWNER', 'STAFF'));`,
    );

    this.addSql(
      `alter table "images" add constraint "images_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade;`,
    );
    this.addSql(
      `alter table "images" add constraint "images_unfinished_is_work" check ((status in ('PENDING', 'PROCESSING')) = (next_attempt_at is not null));`,
    );
    this.addSql(
      `alter table "images" add constraint "images_failed_has_error" check ((status = 'FAILED') = (error_code is not null));`,
    );
    this.addSql(
      `alter table "images" add constraint "images_type_check" check ("type" in ('UPLOADED', 'GENERATED'));`,
    );
    this.addSql(
      `alter table "images" add constraint "images_status_check" check ("status" in ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED'));`,
    );
    this.addSql(
      `alter table "images" add constraint "images_visibility_check" check ("visibility" in ('private', 'public'));`,
    );

    this.addSql(
      `alter table "image_variants" add constraint "image_variants_image_id_foreign" foreign key ("image_id") references "images" ("id") on delete cascade;`,
    );
    this.addSql(
      `alter table "image_variants" add constraint "image_variants_name_check" check ("name" in ('large', 'medium', 'thumbnail'));`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "studio_members" drop constraint "studio_members_studio_id_foreign";`);
    this.addSql(`alter table "studio_members" drop constraint "studio_members_user_id_foreign";`);
    this.addSql(`alter table "images" drop constraint "images_user_id_foreign";`);
    this.addSql(`alter table "image_variants" drop constraint "image_variants_image_id_foreign";`);

    this.addSql(`drop table if exists "failed_jobs" cascade;`);
    this.addSql(`drop table if exists "idempotency_keys" cascade;`);
    this.addSql(`drop table if exists "studios" cascade;`);
    this.addSql(`drop table if exists "users" cascade;`);
    this.addSql(`drop table if exists "studio_members" cascade;`);
    this.addSql(`drop table if exists "images" cascade;`);
    this.addSql(`drop table if exists "image_variants" cascade;`);
  }
}
