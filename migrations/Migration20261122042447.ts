import { Migration } from '@mikro-orm/migrations';

export class Migration20261122042447 extends Migration {
  override name = 'Migration20261122042447';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "attempt_totals" ("type" varchar(100) not null, "outcome" text not null, "attempts" bigint not null, primary key ("type", "outcome"));`,
    );
    this.addSql(
      `comment on table "attempt_totals" is 'How many attempts have ended how, but for those that are in settled_attempts still';`,
    );

    this.addSql(
      `create table "outgoing_mail" ("id" uuid not null, "recipient_id" uuid not null, "recipient" varchar(254) not null, "template" varchar(100) not null, "data" jsonb not null, "status" text not null, "language" varchar(2) null, "subject" varchar(200) null, "text" text null, "error_code" varchar(100) null, "error_detail" text null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, "attempts" smallint not null default 0, "next_attempt_at" timestamptz(3) null, "lease_id" uuid null, "leased_until" timestamptz(3) null, "queued_at" timestamptz(3) null, "request_id" varchar(100) null, "trace_parent" varchar(55) null, primary key ("id"));`,
    );
    this.addSql(`comment on table "outgoing_mail" is 'Mail that is to be sent, or was';`);
    this.addSql(
      `create index "outgoing_mail_created_at_id_index" on "outgoing_mail" ("created_at", "id");`,
    );
    this.addSql(
      `create index outgoing_mail_at_work_index on outgoing_mail (recipient_id) where queued_at is not null or leased_until is not null;`,
    );
    this.addSql(
      `create index outgoing_mail_due_index on outgoing_mail (recipient_id, next_attempt_at, id) where next_attempt_at is not null;`,
    );

    this.addSql(
      `create table "settled_attempts" ("id" uuid not null, "type" varchar(100) not null, "outcome" text not null, "settled_at" timestamptz(3) not null default now(), primary key ("id"));`,
    );
    this.addSql(
      `comment on table "settled_attempts" is 'How attempts ended in the last minutes; older ones are counted in attempt_totals';`,
    );
    this.addSql(
      `create index "settled_attempts_settled_at_index" on "settled_attempts" ("settled_at");`,
    );

    this.addSql(
      `create table "totp_secrets" ("id" uuid not null, "user_id" uuid not null, "sealed" varchar(255) not null, "created_at" timestamptz(3) not null, "confirmed_at" timestamptz(3) null, "last_used_step" int null, "tries" int not null default 0, "last_tried_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "totp_secrets" is 'Authenticators of accounts that sign in with two factors, or are about to';`,
    );
    this.addSql(
      `alter table "totp_secrets" add constraint "totp_secrets_user_id_unique" unique ("user_id");`,
    );

    this.addSql(
      `create table "recovery_codes" ("secret_id" uuid not null, "code_hash" varchar(64) not null, primary key ("secret_id", "code_hash"));`,
    );
    this.addSql(
      `comment on table "recovery_codes" is 'What stands in for a lost authenticator, each once: those that were not used yet';`,
    );

    this.addSql(
      `create table "account_tokens" ("id" uuid not null, "user_id" uuid not null, "purpose" text not null, "token_hash" varchar(64) not null, "email" varchar(254) not null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "used_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(
      `comment on table "account_tokens" is 'Single-use keys to accounts that were sent by mail';`,
    );
    this.addSql(
      `alter table "account_tokens" add constraint "account_tokens_token_hash_unique" unique ("token_hash");`,
    );
    this.addSql(
      `create index "account_tokens_expires_at_index" on "account_tokens" ("expires_at");`,
    );
    this.addSql(
      `create index "account_tokens_user_id_purpose_created_at_index" on "account_tokens" ("user_id", "purpose", "created_at");`,
    );

    this.addSql(
      `comment on table "counters" is 'unlogged: how often something happened lately, for limits that all replicas share';`,
    );

    this.addSql(`drop index "failed_jobs_status_created_at_index";`);
    this.addSql(
      `alter table "failed_jobs" add "retries" int not null default 0, add "failed_at" timestamptz(3) not null default now();`,
    );
    this.addSql(
      `create index "failed_jobs_status_failed_at_index" on "failed_jobs" ("status", "failed_at");`,
    );
    this.addSql(
      `create index "failed_jobs_failed_at_id_index" on "failed_jobs" ("failed_at", "id");`,
    );

    this.addSql(`alter table "users" add "erased_at" timestamptz(3) null;`);
    this.addSql(`create index "users_erased_at_index" on "users" ("erased_at");`);
    this.addSql(`create index "users_created_at_id_index" on "users" ("created_at", "id");`);
    this
      .addSql(`alter table "users" add constraint "users_erased_is_nobody" check (erased_at is null or (disabled_at is not null and email = 'erased:' || id::text
        and num_nonnulls(password_hash, google_id, first_name, last_name, email_verified_at) = 0));`);

    this.addSql(`alter table "sessions" drop constraint "sessions_ended_because_check";`);
    this.addSql(
      `alter table "sessions" add constraint "sessions_ended_because_check" check ("ended_because" in ('signed-out', 'ended-by-owner', 'ended-by-admin', 'signed-out-everywhere', 'password-changed', 'account-disabled', 'token-reused', 'too-many'));`,
    );

    this.addSql(
      `alter table "attempt_totals" add constraint "attempt_totals_outcome_check" check ("outcome" in ('completed', 'refused', 'retried', 'dead_letter'));`,
    );

    this.addSql(
      `alter table "outgoing_mail" add constraint "outgoing_mail_unfinished_is_work" check ((status in ('PENDING', 'SENDING')) = (next_attempt_at is not null));`,
    );
    this.addSql(
      `alter table "outgoing_mail" add constraint "outgoing_mail_failed_has_error" check (status <> 'FAILED' or error_code is not null);`,
    );
    this.addSql(
      `alter table "outgoing_mail" add constraint "outgoing_mail_text_was_not_sent" check (text is null or status = 'RECORDED');`,
    );
    this.addSql(
      `alter table "outgoing_mail" add constraint "outgoing_mail_status_check" check ("status" in ('PENDING', 'SENDING', 'SENT', 'RECORDED', 'FAILED'));`,
    );

    this.addSql(
      `alter table "settled_attempts" add constraint "settled_attempts_outcome_check" check ("outcome" in ('completed', 'refused', 'retried', 'dead_letter'));`,
    );

    this.addSql(
      `alter table "totp_secrets" add constraint "totp_secrets_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade;`,
    );

    this.addSql(
      `alter table "recovery_codes" add constraint "recovery_codes_secret_id_foreign" foreign key ("secret_id") references "totp_secrets" ("id") on delete cascade;`,
    );

    this.addSql(
      `alter table "account_tokens" add constraint "account_tokens_user_id_foreign" foreign key ("user_id") references "users" ("id") on delete cascade;`,
    );
    this.addSql(
      `alter table "account_tokens" add constraint "account_tokens_purpose_check" check ("purpose" in ('verify-email', 'reset-password', 'change-email'));`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "recovery_codes" drop constraint "recovery_codes_secret_id_foreign";`);

    this.addSql(`drop table if exists "attempt_totals" cascade;`);
    this.addSql(`drop table if exists "outgoing_mail" cascade;`);
    this.addSql(`drop table if exists "settled_attempts" cascade;`);
    this.addSql(`drop table if exists "totp_secrets" cascade;`);
    this.addSql(`drop table if exists "recovery_codes" cascade;`);
    this.addSql(`drop table if exists "account_tokens" cascade;`);

    this.addSql(
      `comment on table "counters" is 'How often something happened lately, for limits that all replicas share; unlogged';`,
    );

    this.addSql(`drop index "failed_jobs_status_failed_at_index";`);
    this.addSql(`drop index "failed_jobs_failed_at_id_index";`);
    this.addSql(`alter table "failed_jobs" drop column "retries", drop column "failed_at";`);
    this.addSql(
      `create index "failed_jobs_status_created_at_index" on "failed_jobs" ("status", "created_at");`,
    );

    this.addSql(`alter table "sessions" drop constraint "sessions_ended_because_check";`);
    this.addSql(
      `alter table "sessions" add constraint "sessions_ended_because_check" check ("ended_because" in ('signed-out', 'ended-by-owner', 'ended-by-admin', 'signed-out-everywhere', 'password-changed', 'account-disabled', 'token-reused'));`,
    );

    this.addSql(`drop index "users_erased_at_index";`);
    this.addSql(`drop index "users_created_at_id_index";`);
    this.addSql(`alter table "users" drop constraint "users_erased_is_nobody";`);
    this.addSql(`alter table "users" drop column "erased_at";`);
  }
}
