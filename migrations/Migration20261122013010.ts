import { Migration } from '@mikro-orm/migrations';

export class Migration20261122013010 extends Migration {
  override name = 'Migration20261122013010';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "audit_entries" ("id" uuid not null, "actor_kind" text not null, "actor_id" uuid null, "action" varchar(64) not null, "target_type" varchar(32) null, "target_id" uuid null, "request_id" varchar(100) null, "created_at" timestamptz(3) not null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "audit_entries" is 'append-only: changes by administrators and security events, by ids alone';`,
    );
    this.addSql(`create index "audit_entries_created_at_index" on "audit_entries" ("created_at");`);
    this.addSql(
      `create index "audit_entries_actor_id_created_at_index" on "audit_entries" ("actor_id", "created_at");`,
    );
    this.addSql(
      `create index "audit_entries_target_id_created_at_index" on "audit_entries" ("target_id", "created_at");`,
    );
    this.addSql(
      `create index "audit_entries_action_created_at_index" on "audit_entries" ("action", "created_at");`,
    );

    this.addSql(
      `create table "audit_details" ("entry_id" uuid not null, "address" varchar(45) null, "before" jsonb null, "after" jsonb null, primary key ("entry_id"));`,
    );
    this.addSql(
      `comment on table "audit_details" is 'What of audit entries is about persons: erasure empties it';`,
    );

    this.addSql(
      `create table "counters" ("key" varchar(200) not null, "count" int not null, "resets_at" timestamptz(3) not null, primary key ("key"));`,
    );
    this.addSql(
      `comment on table "counters" is 'How often something happened lately, for limits that all replicas share; unlogged';`,
    );
    // Not worth a place in the log: a crash may forget it. The snapshot knows no such tables.
    this.addSql(`alter table "counters" set unlogged;`);
    this.addSql(`create index "counters_resets_at_index" on "counters" ("resets_at");`);

    this.addSql(
      `create table "sessions" ("id" uuid not null, "user_id" uuid not null, "token_hash" varchar(64) not null, "rotated_at" timestamptz(3) not null, "device" varchar(200) null, "address" varchar(45) null, "created_at" timestamptz(3) not null, "last_used_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "ended_at" timestamptz(3) null, "ended_because" text null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "sessions" is 'Sign-ins on one device each: a family of refresh tokens';`,
    );
    this.addSql(`create index "sessions_expires_at_index" on "sessions" ("expires_at");`);
    this.addSql(`create index "sessions_ended_at_index" on "sessions" ("ended_at");`);
    this.addSql(
      `create index "sessions_user_id_last_used_at_index" on "sessions" ("user_id", "last_used_at");`,
    );

    this.addSql(
      `alter table "audit_entries" add constraint "audit_entries_actor_kind_check" check ("actor_kind" in ('user', 'admin-token', 'anonymous', 'system'));`,
    );

    this.addSql(
      `alter table "audit_details" add constraint "audit_details_entry_id_foreign" foreign key ("entry_id") references "audit_entries" ("id") on update cascade on delete cascade;`,
    );

    this.addSql(
      `alter table "sessions" add constraint "sessions_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade;`,
    );
    this.addSql(
      `alter table "sessions" add constraint "sessions_ended_because_check" check ("ended_because" in ('signed-out', 'ended-by-owner', 'ended-by-admin', 'signed-out-everywhere', 'password-changed', 'account-disabled', 'token-reused'));`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "audit_details" drop constraint "audit_details_entry_id_foreign";`);

    this.addSql(`drop table if exists "audit_entries" cascade;`);
    this.addSql(`drop table if exists "audit_details" cascade;`);
    this.addSql(`drop table if exists "counters" cascade;`);
    this.addSql(`drop table if exists "sessions" cascade;`);
  }
}
