import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CannotStart } from './core/process/cannot-start.js';
import { CoreModule } from './core/core.module.js';
import { readEnv } from './core/env.js';
import { Shutdown } from './core/process/shutdown.js';
import { onStopSignal } from './core/process/stop-signals.js';
import { onUnreadReport, runTool } from './core/process/tool.js';
import { DatabaseModule } from './database.module.js';
import { ImageUpkeepModule } from './images/upkeep/image-upkeep.module.js';
import { ImageUpkeep } from './images/upkeep/image-upkeep.service.js';
import type { Finding, UpkeepSummary } from './images/upkeep/findings.js';
import { describeFinding, describeSummary } from './images/upkeep/verify-report.js';
import { besideStandalone } from './standalone/beside.js';

/**
 * `npm run images:verify [-- --checksums] [--repair] [--force] [--json]`: holds rows and stored files
 * against each other.
 *
 * Exit code 0 when all is well or was repaired, 1 when findings are left, 2 when it could not be
 * told.
 */

const USAGE = 'npm run images:verify -- [--checksums] [--repair] [--force] [--json]';
const FINDINGS_LEFT = 1;

const FLAGS = { checksums: 'flag', repair: 'flag', force: 'flag', json: 'flag' } as const;
type Flags = Readonly<Record<keyof typeof FLAGS, boolean>>;

@Module({})
class VerifyModule {}

runTool(USAGE, FLAGS, async (flags) => {
  const instance = await besideStandalone();
  try {
    const summary = await verify(instance.settings, flags);
    print(flags, { summary }, () => describeSummary(summary, flags.repair));
    if (summary.left > 0) process.exitCode ??= FINDINGS_LEFT;
  } finally {
    await instance.close();
  }
});

async function verify(settings: NodeJS.ProcessEnv, flags: Flags): Promise<UpkeepSummary> {
  const imports = [CoreModule.forRoot(readEnv(settings)), DatabaseModule, ImageUpkeepModule];
  const app = await NestFactory.createApplicationContext(
    { module: VerifyModule, imports },
    // Standard output is the report's, and what goes wrong is thrown.
    { logger: false, abortOnError: false },
  );
  try {
    const shutdown = app.get(Shutdown);
    onStopSignal(() => {
      shutdown.begin();
    });
    onUnreadReport(() => {
      shutdown.begin();
    });
    const report = (finding: Finding) => {
      print(flags, { finding }, () => describeFinding(finding));
    };
    return await app
      .get(ImageUpkeep)
      .run({ ...flags, signal: shutdown.signal, report })
      .catch((error: unknown) => {
        throw shutdown.begun ? new CannotStart('Stopped before the end.') : error;
      });
  } finally {
    await app.close();
  }
}

/** As JSON, one object a line, so that a report of any length can be read while it is made. */
function print({ json }: Flags, value: object, describe: () => string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : describe()}\n`);
}
