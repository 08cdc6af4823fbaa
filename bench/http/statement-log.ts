import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Product } from '../product.ts';

/** A statement as it goes to PostgreSQL. */
export interface Statement {
  text: string;
  values: unknown[];
}

const RECORDER = join(import.meta.dirname, 'record-statements.ts');

/**
 * What the product sends to PostgreSQL while it answers, so that the other side can send the same.
 * For that the API is started with a recorder in it, and started again without.
 */
export async function recordStatements<Name extends string>(
  { api, setting }: Product,
  requests: Readonly<Record<Name, () => Promise<unknown>>>,
): Promise<Record<Name, Statement[]>> {
  const file = join(setting.dataDir, 'statements.log');
  await api.restart({
    nodeArguments: ['--import', RECORDER],
    variables: { BENCH_STATEMENTS: file },
  });
  const recorded: Partial<Record<Name, Statement[]>> = {};
  for (const [name, request] of Object.entries(requests) as [Name, () => Promise<unknown>][]) {
    writeFileSync(file, '');
    await request();
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    recorded[name] = lines.map((line) => JSON.parse(line) as Statement);
  }
  await api.restart();
  return recorded as Record<Name, Statement[]>;
}
