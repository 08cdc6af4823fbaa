import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CannotStart } from '../core/process/cannot-start.js';
import { readDataDir } from '../core/env.js';
import { DataDir, keptSecrets } from './data-dir.js';
import { EmbeddedPostgres, embeddedUrl } from './embedded-postgres.js';
import { PostgresCluster } from './postgres-cluster.js';
import { readPostmaster } from './postmaster.js';
import { birthOf } from './processes.js';

/** The settings of an instance, and how to let go of it. */
export interface Instance {
  settings: NodeJS.ProcessEnv;
  close(): Promise<void>;
}

/**
 * The settings by which a tool reaches what `npm start` runs with the same variables: the secrets
 * that it keeps, and its own PostgreSQL when there is no `DATABASE_URL`. That is used while it runs,
 * and else started for as long as the tool needs it.
 *
 * @param source as the operator set it
 * @throws CannotStart when there is no instance in `DATA_DIR`
 */
export async function besideStandalone(source: NodeJS.ProcessEnv = process.env): Promise<Instance> {
  const dataDir = resolve(readDataDir(source));
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  const settings = { ...keptSecrets(dataDir), ...given, DATA_DIR: dataDir };
  if (given['DATABASE_URL'] !== undefined) return { settings, close: () => Promise.resolve() };

  if (!statSync(join(dataDir, 'postgres'), { throwIfNoEntry: false })) {
    throw new CannotStart(
      `There is no database in DATA_DIR ${dataDir}: set DATABASE_URL, or the DATA_DIR of \`npm start\`.`,
    );
  }
  const cluster = new PostgresCluster(dataDir);
  if (isRunning(cluster)) {
    const url = { DATABASE_URL: embeddedUrl(cluster, 'app'), EMBEDDED_POSTGRES: 'true' };
    return { settings: { ...settings, ...url }, close: () => Promise.resolve() };
  }
  const lock = await DataDir.open(dataDir);
  const postgres = await EmbeddedPostgres.start({ dataDir: lock.path });
  return {
    settings: { ...settings, DATABASE_URL: postgres.url('app'), EMBEDDED_POSTGRES: 'true' },
    close: async () => {
      await postgres.stop();
      await lock.close();
    },
  };
}

function isRunning(cluster: PostgresCluster): boolean {
  const postmaster = readPostmaster(cluster.directory);
  return postmaster?.isReady === true && birthOf(postmaster.pid) !== undefined;
}
