import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type DatabaseUrls, environment } from './environment.js';

/** A database of a test's own: a clone of the migrated one, or an empty one. */
export interface TestDatabase extends DatabaseUrls {
  /** Runs a statement as the superuser. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

export async function createDatabase(
  from: 'migrated' | 'empty' = 'migrated',
): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const template = from === 'migrated' ? 'template atelier' : '';
  await asAdmin(`create database ${name} ${template} owner atelier_owner`);
  // As in the embedded PostgreSQL, and as a careful operator does: only what is granted.
  await asAdmin(`revoke all on database ${name} from public`);
  await asAdmin(`grant connect, temporary on database ${name} to atelier_app`);
  const { adminUrl, ownerUrl, appUrl } = environment();
  const pool = new pg.Pool({ connectionString: withDatabase(adminUrl, name), max: 2 });
  pool.on('error', () => undefined);
  return {
    ownerUrl: withDatabase(ownerUrl, name),
    appUrl: withDatabase(appUrl, name),
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await pool.query<Row>(text, values)).rows,
    drop: async () => {
      await pool.end();
      await asAdmin(`drop database if exists ${name} with (force)`);
    },
  };
}

/** Clones of one template wait for each other, so a busy template is no failure. */
async function asAdmin(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: environment().adminUrl });
  await client.connect();
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await client.query(statement);
        return;
      } catch (error) {
        const isBusy = (error as { code?: string }).code === '55006';
        if (!isBusy || attempt === 50) throw error;
        await sleep(100);
      }
    }
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}
