import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { TestDatabase } from './test-database.js';
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

/** Where the files in storage and the rows that name them do not agree. */
export interface FileFaults {
  /** Keys that no row names, and that are not to be removed either. */
  strays: string[];
  /** Keys that a row names, and where there is no file. */
  missing: string[];
}

/** Of a product whose files lie on the disk. */
export async function fileFaults(
  dataDir: string,
  database: Pick<TestDatabase, 'query'>,
): Promise<FileFaults> {
  const keysOf = async (statement: string) =>
    (await database.query<{ key: string }>(statement)).map(({ key }) => key);
  const named = new Set(await keysOf('select storage_key as key from image_variants'));
  const removals = await keysOf('select target as key from file_removals');
  const folder = join(dataDir, 'files');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const stored = entries
    .filter((entry) => entry.isFile() && !entry.parentPath.endsWith('.incoming'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  const isToGo = (key: string) => removals.some((target) => key.startsWith(target));
  const found = new Set(stored);
  return {
    strays: stored.filter((key) => !named.has(key) && !isToGo(key)),
    missing: [...named].filter((key) => !found.has(key)),
  };
}

/** What {@link fileFaults} is where all is well. */
export const NO_FILE_FAULTS: FileFaults = { strays: [], missing: [] };
