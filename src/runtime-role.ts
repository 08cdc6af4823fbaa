import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { CannotStart } from './core/process/cannot-start.js';
import { connectOrRefuse, directAddress, hasPooler } from './core/database/database-url.js';
import type { Env } from './core/env.js';
import { serverLimits } from './core/database/session-limits.js';
import { migrationAddress, type MigrationEnv } from './mikro-orm.config.js';
import { BULLMQ_SCHEMA } from './queue/postgres/postgres-backend.js';

/** How the `comment` of an entity says that its rows are never changed or deleted. */
const APPEND_ONLY = 'append-only';

/**
 * Gives the restricted role of `DATABASE_URL` what the running product needs, and no more: it can
 * read and write rows, only add to append-only tables, and alter nothing.
 *
 * @param client connected as the owner
 * @throws CannotStart when there is no such role
 */
export async function grantRuntimeRole(
  client: pg.Client,
  orm: MikroORM,
  env: MigrationEnv,
): Promise<void> {
  const role = decodeURIComponent(new URL(env.DATABASE_URL).username);
  const owner = decodeURIComponent(new URL(migrationAddress(env).url).username);
  if (role === owner || role === '') return;

  await requireRole(client, role);
  const to = pg.escapeIdentifier(role);
  const database = pg.escapeIdentifier(client.database ?? '');
  const appendOnly = [...orm.getMetadata().getAll().values()]
    .filter(({ comment }) => comment?.startsWith(APPEND_ONLY))
    .map(({ tableName }) => pg.escapeIdentifier(tableName));
  const sequences = await ownSequences(client);
  await client.query(
    [
      `grant usage on schema public, ${BULLMQ_SCHEMA} to ${to}`,
      // BullMQ makes a sequence for each queue, and temporary tables for jobs that come in bulk.
      `grant create on schema ${BULLMQ_SCHEMA} to ${to}`,
      `grant connect, temporary on database ${database} to ${to}`,
      ...['public', BULLMQ_SCHEMA].map(
        (schema) =>
          `grant select, insert, update, delete on all tables in schema ${schema} to ${to}`,
      ),
      ...sequences.map((sequence) => `grant usage, select on sequence ${sequence} to ${to}`),
      // It may see what has been migrated, not say so.
      `revoke insert, update, delete on mikro_orm_migrations from ${to}`,
      ...appendOnly.map((table) => `revoke update, delete on ${table} from ${to}`),
    ].join('; '),
  );
}

/**
 * Writes the time-outs into the role when a pooler is in between, which takes none from its clients.
 * They hold in this database, from the next connection that the pooler opens.
 *
 * A role may set its own defaults, so this asks for no more rights than are there.
 */
export async function limitRuntimeRole(env: Env): Promise<void> {
  if (!hasPooler(env)) return;
  const client = await connectOrRefuse(directAddress(env));
  try {
    const database = pg.escapeIdentifier(client.database ?? '');
    for (const [name, value] of Object.entries(serverLimits(env))) {
      await client.query(`alter role current_user in database ${database} set ${name} = ${value}`);
    }
  } finally {
    await client.end();
  }
}

/** Not "all sequences": those that the role itself made belong to it, and cannot be granted. */
async function ownSequences(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', nspname, relname) as name
     from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where relkind = 'S' and relowner = current_user::regrole
       and nspname in ('public', $1)`,
    [BULLMQ_SCHEMA],
  );
  return rows.map(({ name }) => name);
}

async function requireRole(client: pg.Client, role: string): Promise<void> {
  const { rowCount } = await client.query('select 1 from pg_roles where rolname = $1', [role]);
  if (rowCount) return;
  throw new CannotStart(
    `The role ${role} of DATABASE_URL does not exist. Make it: create role ${role} login password '…'`,
  );
}
