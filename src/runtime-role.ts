import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import type { Env } from './core/env.js';
import { BULLMQ_SCHEMA } from './queue/backend.js';

/** How the `comment` of an entity says that its rows are never changed or deleted. */
const APPEND_ONLY = 'append-only';

/**
 * Gives the restricted role of `DATABASE_URL` what the running product needs, and no more: it can
 * read and write rows, only add to append-only tables, and alter nothing.
 *
 * @param client connected as the owner
 */
export async function grantRuntimeRole(
  client: pg.Client,
  orm: MikroORM,
  env: Pick<Env, 'DATABASE_URL' | 'MIGRATION_DATABASE_URL'>,
): Promise<void> {
  const role = decodeURIComponent(new URL(env.DATABASE_URL).username);
  const owner = decodeURIComponent(
    new URL(env.MIGRATION_DATABASE_URL ?? env.DATABASE_URL).username,
  );
  if (role === owner || role === '') return;

  const to = pg.escapeIdentifier(role);
  const appendOnly = [...orm.getMetadata().getAll().values()]
    .filter(({ comment }) => comment?.startsWith(APPEND_ONLY))
    .map(({ tableName }) => pg.escapeIdentifier(tableName));
  await client.query(
    [
      `grant usage on schema public, ${BULLMQ_SCHEMA} to ${to}`,
      // BullMQ makes a sequence for each queue when it first adds a job to it.
      `grant create on schema ${BULLMQ_SCHEMA} to ${to}`,
      ...['public', BULLMQ_SCHEMA].flatMap((schema) => [
        `grant select, insert, update, delete on all tables in schema ${schema} to ${to}`,
        `grant usage, select on all sequences in schema ${schema} to ${to}`,
      ]),
      // It may see what has been migrated, not say so.
      `revoke insert, update, delete on mikro_orm_migrations from ${to}`,
      ...appendOnly.map((table) => `revoke update, delete on ${table} from ${to}`),
    ].join('; '),
  );
}
