import { ApiClient } from './api-client.ts';
import { measureGuards } from './auth/guarded.ts';
import { HASHES_AT_ONCE, measureLogins } from './auth/logins.ts';
import { Load } from './http/load.ts';
import { Product } from './product.ts';
import { requireProc } from './process-usage.ts';
import type { Table } from './report.ts';
import type { BenchOptions } from './run.ts';

const FULL = {
  logins: { rounds: 8, seconds: 6, accounts: 200 },
  guards: { rounds: 12, seconds: 5, connections: 16 },
};
const QUICK: typeof FULL = {
  logins: { rounds: 3, seconds: 3, accounts: 20 },
  guards: { rounds: 3, seconds: 3, connections: 16 },
};

/** What it costs to let people in, and to keep others out. */
export async function* measureAuth({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const { logins, guards } = quick ? QUICK : FULL;
  const product = await Product.start(cleanUp, {
    PASSWORD_HASHES_AT_ONCE: String(HASHES_AT_ONCE),
  });
  const client = await ApiClient.register(product.url);
  cleanUp.add(() => {
    client.close();
  });
  const load = new Load(cleanUp);
  yield await measureLogins(product, load, logins, cleanUp);
  yield await measureGuards(product, client, load, guards);
}
