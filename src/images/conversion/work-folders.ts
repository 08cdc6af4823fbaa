import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { makeDataFolder } from '../../core/process/data-folder.js';

/** Where files lie while they are decoded, below `DATA_DIR`. */
const WORK_FOLDER = 'work';
/** Longer than any attempt: what is older was left by a worker that was killed. */
const LEFT_BEHIND_AFTER_MS = 15 * 60 * 1_000;

/** Folders for pictures while they are decoded, on this machine. */
@Injectable()
export class WorkFolders implements OnModuleInit {
  private readonly workFolder: string;

  constructor(@Inject(ENV) env: Env) {
    this.workFolder = join(env.DATA_DIR, WORK_FOLDER);
  }

  async onModuleInit(): Promise<void> {
    await makeDataFolder(this.workFolder);
  }

  /** Works with a folder of its own, which is gone afterwards with all that is in it. */
  async within<T>(work: (folder: string) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(this.workFolder, 'image-'));
    try {
      return await work(folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Uploads hold what their owners did not mean to show: none stays behind a killed worker. */
  async removeLeftovers(): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.workFolder)) {
      const path = join(this.workFolder, name);
      const info = await stat(path).catch(() => undefined);
      const isOld = info && Date.now() - info.mtimeMs > LEFT_BEHIND_AFTER_MS;
      if (!isOld) continue;
      await rm(path, { recursive: true, force: true });
      removed += 1;
    }
    return removed;
  }
}
