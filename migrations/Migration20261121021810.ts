import { Migration } from '@mikro-orm/migrations';

export class Migration20261121021810 extends Migration {
  override name = 'Migration20261121021810';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "file_removals" ("id" uuid not null, "target" varchar(200) not null, "due_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "file_removals" is 'Files to remove from storage, written in the transaction that gave them up';`,
    );
    this.addSql(`create index "file_removals_due_at_index" on "file_removals" ("due_at");`);

    this.addSql(
      `create table "timers" ("name" varchar(100) not null, "next_run_at" timestamptz(3) not null, "lease_id" uuid null, "leased_until" timestamptz(3) null, "last_run_at" timestamptz(3) null, primary key ("name"));`,
    );
    this.addSql(
      `comment on table "timers" is 'When work that runs by the clock is due next, and who runs it now';`,
    );

    this.addSql(
      `create table "resumable_uploads" ("id" uuid not null, "user_id" uuid not null, "bytes" bigint not null, "fields" jsonb not null, "image_id" uuid null, "error_code" varchar(100) null, "error_detail" text null, "lease_id" uuid null, "leased_until" timestamptz(3) null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "resumable_uploads" is 'Uploads by the tus protocol, from their announcement until they are images';`,
    );
    this.addSql(
      `create index "resumable_uploads_expires_at_index" on "resumable_uploads" ("expires_at");`,
    );

    this.addSql(
      `create table "image_links" ("id" uuid not null, "image_id" uuid not null, "course_id" uuid null, "session_id" uuid null, "created_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "image_links" is 'Where an image is used: a linked one is not cleaned up';`,
    );
    this.addSql(
      `alter table "image_links" add constraint "image_links_image_id_course_id_unique" unique ("image_id", "course_id");`,
    );
    this.addSql(
      `alter table "image_links" add constraint "image_links_image_id_session_id_unique" unique ("image_id", "session_id");`,
    );

    this.addSql(
      `create table "deleted_images" ("id" uuid not null, "user_id" uuid not null, "deleted_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "deleted_images" is 'Remembers for a day what its owner deleted, so that deleting it again succeeds';`,
    );
    this.addSql(
      `create index "deleted_images_deleted_at_index" on "deleted_images" ("deleted_at");`,
    );

    this.addSql(`alter table "images" drop constraint "images_failed_has_error";`);
    this.addSql(
      `alter table "images" add "version" int not null default 0, add "stored_bytes" bigint null, add "dominant_color" varchar(7) null;`,
    );
    // Pictures of before have files that this version knows too little of: they are made anew, and
    // the nightly clean-up removes the old ones.
    this.addSql(`delete from "image_variants";`);
    this.addSql(
      `update "images" set "stored_bytes" = ("metadata"->>'size')::bigint,
         "metadata" = "metadata" || jsonb_build_object(
           'width', coalesce(("metadata"->>'width')::int, 0),
           'height', coalesce(("metadata"->>'height')::int, 0),
           'frames', 1, 'progressive', false, 'hasAlpha', null);`,
    );
    this.addSql(
      `update "images" set "status" = 'PENDING', "attempts" = 0, "next_attempt_at" = now()
       where "status" = 'COMPLETED';`,
    );
    this.addSql(`alter table "images" alter column "stored_bytes" set not null;`);
    this.addSql(
      `create index "images_user_id_checksum_index" on "images" ("user_id", "checksum");`,
    );
    this.addSql(
      `alter table "images" add constraint "images_completed_was_made" check (status <> 'COMPLETED' or version > 0);`,
    );
    this.addSql(
      `alter table "images" add constraint "images_failed_has_error" check (status <> 'FAILED' or error_code is not null);`,
    );

    this.addSql(`alter table "image_variants" drop constraint "image_variants_pkey";`);
    this.addSql(`alter table "image_variants" drop constraint "image_variants_name_check";`);
    this.addSql(
      `alter table "image_variants" add "checksum" varchar(64) not null, add "created_at" timestamptz(3) not null;`,
    );
    this.addSql(
      `alter table "image_variants" alter column "format" type text using ("format"::text);`,
    );
    this.addSql(
      `alter table "image_variants" add constraint "image_variants_storage_key_unique" unique ("storage_key");`,
    );
    this.addSql(`alter table "image_variants" add primary key ("image_id", "name", "format");`);
    this.addSql(
      `alter table "image_variants" add constraint "image_variants_format_check" check ("format" in ('jpeg', 'png', 'webp', 'gif', 'avif', 'heic'));`,
    );
    this.addSql(
      `alter table "image_variants" add constraint "image_variants_name_check" check ("name" in ('original', 'large', 'medium', 'thumbnail'));`,
    );
    this.addSql(
      `comment on table "image_variants" is 'The stored files of an image: its original without metadata, and its sizes';`,
    );

    this.addSql(
      `alter table "resumable_uploads" add constraint "resumable_uploads_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade;`,
    );

    this.addSql(
      `alter table "image_links" add constraint "image_links_image_id_foreign" foreign key ("image_id") references "images" ("id") on delete cascade;`,
    );
    this.addSql(
      `alter table "image_links" add constraint "image_links_one_place" check (num_nonnulls(course_id, session_id) = 1);`,
    );

    this.addSql(
      `alter table "deleted_images" add constraint "deleted_images_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table if exists "file_removals" cascade;`);
    this.addSql(`drop table if exists "timers" cascade;`);
    this.addSql(`drop table if exists "resumable_uploads" cascade;`);
    this.addSql(`drop table if exists "image_links" cascade;`);
    this.addSql(`drop table if exists "deleted_images" cascade;`);

    this.addSql(
      `alter table "image_variants" drop constraint "image_variants_storage_key_unique";`,
    );
    this.addSql(`alter table "image_variants" drop constraint "image_variants_pkey";`);
    this.addSql(`alter table "image_variants" drop constraint "image_variants_format_check";`);
    this.addSql(`alter table "image_variants" drop constraint "image_variants_name_check";`);
    this.addSql(`alter table "image_variants" drop column "checksum", drop column "created_at";`);
    this.addSql(
      `alter table "image_variants" alter column "format" type varchar(10) using ("format"::varchar(10));`,
    );
    this.addSql(`alter table "image_variants" add primary key ("image_id", "name");`);
    this.addSql(
      `alter table "image_variants" add constraint "image_variants_name_check" check ("name" in ('large', 'medium', 'thumbnail'));`,
    );
    this.addSql(`comment on table "image_variants" is 'The stored sizes of a completed image';`);

    this.addSql(`drop index "images_user_id_checksum_index";`);
    this.addSql(`alter table "images" drop constraint "images_completed_was_made";`);
    this.addSql(`alter table "images" drop constraint "images_failed_has_error";`);
    this.addSql(
      `alter table "images" drop column "version", drop column "stored_bytes", drop column "dominant_color";`,
    );
    this.addSql(
      `alter table "images" add constraint "images_failed_has_error" check ((status = 'FAILED') = (error_code is not null));`,
    );
  }
}
