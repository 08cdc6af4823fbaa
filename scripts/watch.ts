import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch as watchFolder } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildFailed, ensureBuild, markInUse, PROJECT, SOURCE_FOLDERS } from './build.ts';

/** Editors write a file in several steps, and "save all" writes several files. */
const QUIET_MS = 150;

/** Runs the standalone, and again with each build that differs. A failed build changes nothing. */
export async function watch(): Promise<void> {
  const changes = new Changes();
  const runner = new Runner();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void runner.stop().then(() => process.exit(0)));
  }
  for (;;) {
    const build = await tryBuild();
    if (build !== undefined) await runner.run(build);
    await changes.next();
  }
}

/** The sources, as they are saved. */
class Changes {
  private seen = Promise.withResolvers<string | null>();

  constructor() {
    for (const folder of SOURCE_FOLDERS) {
      watchFolder(join(PROJECT, folder), { recursive: true }, (_event, name) => {
        this.seen.resolve(name);
      });
    }
  }

  /** Settles at the end of a burst of changes; one that came since the last call counts. */
  async next(): Promise<void> {
    await this.seen.promise;
    await delay(QUIET_MS);
    this.seen = Promise.withResolvers();
  }
}

class Runner {
  private child: ChildProcess | undefined;
  private build: string | undefined;
  private isStopped = false;

  /** Runs this build in place of the one that runs now, unless that is the same. */
  async run(build: string): Promise<void> {
    if (build === this.build && this.isRunning) return;
    await this.endChild();
    if (this.isStopped) return;
    this.build = build;
    // The IPC channel lets it end by itself should this process be killed.
    this.child = spawn(
      process.execPath,
      ['--enable-source-maps', join(build, 'src', 'standalone.js')],
      { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] },
    );
    this.child.once('exit', (code) => {
      if (code) console.error(`Atelier ended with exit code ${code}; waiting for a change.`);
    });
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.endChild();
  }

  private get isRunning(): boolean {
    return this.child?.exitCode === null && this.child.signalCode === null;
  }

  private async endChild(): Promise<void> {
    if (!this.child || !this.isRunning) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }
}

async function tryBuild(): Promise<string | undefined> {
  try {
    const build = await ensureBuild();
    markInUse(build);
    return build;
  } catch (error) {
    if (!(error instanceof BuildFailed)) throw error;
    console.error(`${error.message}\nThe build failed; waiting for a change.`);
    return undefined;
  }
}
