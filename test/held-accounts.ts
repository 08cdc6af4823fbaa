import pg from 'pg';
import { eventually } from './eventually.js';
import type { Account, TestingApp } from './testing-app.js';

/**
 * Changes an account as another process does: within a transaction that is committed when so many
 * requests of the product wait for it, or have not.
 */
export async function whileHeld<T>(
  app: TestingApp,
  { userId }: Account,
  requests: readonly (() => PromiseLike<T>)[],
  work: (client: pg.Client) => Promise<unknown>,
): Promise<{ waited: number; answers: T[] }> {
  const client = new pg.Client({ connectionString: app.database.ownerUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query('select 1 from users where id = $1 for update', [userId]);
    let answered = 0;
    const sent = requests.map(async (request) => {
      const answer = await request();
      answered += 1;
      return answer;
    });
    const waiting = await eventually(
      () =>
        app.database.query(
          `select 1 from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'`,
        ),
      (rows) => rows.length + answered >= requests.length,
    );
    await work(client);
    await client.query('commit');
    return { waited: waiting.length, answers: await Promise.all(sent) };
  } finally {
    await client.end();
  }
}
