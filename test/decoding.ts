import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DecoderPool, type DecoderPoolOptions } from '../src/images/decoding/decoder-pool.js';
import { type DecodeTask } from '../src/images/decoding/variants.js';

/** Flags with which Node runs a child process from the TypeScript sources. */
export const FROM_SOURCES = ['--import', new URL('./typescript-sources.ts', import.meta.url).href];

/** A pool whose children run the sources, as specs do, and not the build. */
export function decoderPoolFromSources(options: DecoderPoolOptions): DecoderPool {
  return new DecoderPool({ execArgv: FROM_SOURCES, ...options });
}

/** A temporary folder with pictures and what is made of them. */
export class Darkroom {
  private constructor(private readonly folder: string) {}

  static async open(): Promise<Darkroom> {
    return new Darkroom(await mkdtemp(join(tmpdir(), 'darkroom-')));
  }

  /** The task of decoding these bytes, written to a file, into an output folder of its own. */
  async task(picture: Uint8Array, options: Partial<DecodeTask> = {}): Promise<DecodeTask> {
    const task = await this.taskNamed(randomUUID(), options);
    await writeFile(task.input, picture);
    return task;
  }

  /** A task whose input has this name and does not exist. */
  async taskNamed(name: string, options: Partial<DecodeTask> = {}): Promise<DecodeTask> {
    const outputFolder = join(this.folder, randomUUID());
    await mkdir(outputFolder);
    return {
      input: join(this.folder, name),
      outputFolder,
      maxPixels: 50_000_000,
      maxFrames: 500,
      quality: 80,
      effort: 0,
      avif: false,
      ...options,
    };
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}

/** The process that ran a task of `misbehaving.child.ts`, or undefined before it got there. */
export async function pidOf(task: DecodeTask): Promise<number | undefined> {
  const pid = await readFile(join(task.outputFolder, 'pid'), 'utf8').catch(() => undefined);
  return pid === undefined ? undefined : Number(pid);
}
