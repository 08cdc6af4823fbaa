import { appendFileSync } from 'node:fs';
import pg from 'pg';

/** Loaded into the product before all else: writes down each statement that it sends. */

const file = process.env['BENCH_STATEMENTS'] ?? '';
const client = pg.Client.prototype as { query: (...args: unknown[]) => unknown };
const query = client.query;

client.query = function record(this: unknown, ...args: unknown[]): unknown {
  const [first, second] = args;
  const config = typeof first === 'string' ? { text: first } : (first as { text?: string });
  const values = Array.isArray(second) ? (second as unknown[]) : [];
  if (config.text !== undefined) {
    appendFileSync(file, `${JSON.stringify({ values, ...config })}\n`);
  }
  return query.apply(this, args);
};
