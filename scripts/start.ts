import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BuildFailed, ensureBuild, markInUse } from './build.ts';
import { watch } from './watch.ts';

const PARENT_POLL_MS = 250;

/**
 * `scripts/start.ts [entry] [arguments]`: builds if need be, then becomes that entry point
 * (`standalone` by default), in this same process: signals and exit codes need no forwarding.
 *
 * `scripts/start.ts --watch`: the standalone, built and started again on each change.
 */
async function start(entry = 'standalone', args: string[] = []): Promise<void> {
  const build = await ensureBuild();
  const path = join(build, 'src', `${entry}.js`);
  if (!existsSync(path)) {
    console.error(`There is no entry point src/${entry}.ts.`);
    process.exitCode = 1;
    return;
  }
  markInUse(build);
  process.argv = [process.execPath, path, ...args];
  process.setSourceMapsEnabled(true);
  await import(pathToFileURL(path).href);
}

/**
 * npm runs us through a shell. That, or npm itself, may die of a signal without passing it on, and
 * would leave behind what nobody knows to be running.
 */
function endWithNpm(): void {
  if (process.env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  const watching = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watching);
    process.kill(process.pid, 'SIGTERM');
  }, PARENT_POLL_MS).unref();
}

endWithNpm();
try {
  const [entry, ...args] = process.argv.slice(2);
  if (entry === '--watch') await watch();
  else await start(entry, args);
} catch (error) {
  if (!(error instanceof BuildFailed)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
