import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestingApp } from './testing-app.js';

/** In which tables a text stands, in whatever column: of the product, and of BullMQ. */
export async function tablesWith({ database }: TestingApp, text: string): Promise<string[]> {
  const tables = await database.query<{ name: string }>(
    `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
     where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE'
     order by 1`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const rows = await database.query(
      `select 1 from ${name} as row where strpos(lower(row::text), lower($1)) > 0 limit 1`,
      [text],
    );
    if (rows.length > 0) found.push(name.replace('public.', ''));
  }
  return found;
}

/** All files of a product on the disk that its users have brought, below its folder. */
export async function filesOfUsers({ variables }: TestingApp): Promise<string[]> {
  const folders = ['files', 'uploads', 'work'].map((name) =>
    join(variables['DATA_DIR'] ?? '', name),
  );
  const listed = await Promise.all(
    folders.map((folder) => readdir(folder, { recursive: true, withFileTypes: true })),
  );
  return listed
    .flat()
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
