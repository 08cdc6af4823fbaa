import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Environment, productVariables } from './environment.ts';

const run = promisify(execFile);

/**
 * One PostgreSQL for the whole run, with one migrated database that each test file clones, and one
 * build for the processes that tests start.
 */
export default async function globalSetup(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
  await run(process.execPath, ['scripts/build.ts']);
  const build = await realpath('dist/current');
  // Jest does not transform what the setup imports, so it takes the build.
  const { EmbeddedPostgres } = (await import(
    join(build, 'src/standalone/embedded-postgres.js')
  )) as typeof import('../src/standalone/embedded-postgres.js');
  const postgres = await EmbeddedPostgres.start({ dataDir, durable: false });
  const environment: Environment = {
    build,
    compileCache: join(dataDir, 'compile-cache'),
    adminUrl: postgres.url('superuser', 'postgres'),
    ownerUrl: postgres.url('owner'),
    appUrl: postgres.url('app'),
  };
  process.env['ATELIER_TEST'] = JSON.stringify(environment);
  await run(process.execPath, [join(build, 'src/migrate.js')], {
    env: productVariables(environment, dataDir),
  });
  (globalThis as { stopTests?: () => Promise<void> }).stopTests = async () => {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
}
