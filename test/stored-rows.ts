import type { TestDatabase } from './test-database.js';

/** Every row of the product and of its queue, by table. */
export async function storedRows(database: TestDatabase): Promise<Map<string, string>> {
  const tables = await database.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname in ('public', 'bullmq')`,
  );
  const texts = new Map<string, string>();
  for (const { name } of tables) {
    const [found] = await database.query<{ text: string | null }>(
      `select string_agg(t::text, E'\n') as text from ${name} t`,
    );
    texts.set(name, found?.text ?? '');
  }
  return texts;
}
