import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { OnModuleInit } from '@nestjs/common';
import type { Env } from '../../core/env.js';
import { makeDataFolder } from '../../core/process/data-folder.js';
import { flushFolder, ignoreMissing } from '../../storage/disk/disk-files.js';
import { GrowingBytes, type Hold, ResumableBytes } from './resumable-bytes.js';

/** Where uploads grow, below `DATA_DIR`. */
const FOLDER = 'uploads';
const FILE_MODE = 0o600;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The bytes of unfinished uploads on the disk, each a file named by its id and as long as it has come. */
export class DiskResumableBytes extends ResumableBytes implements OnModuleInit {
  private readonly folder: string;

  constructor(env: Pick<Env, 'DATA_DIR'>) {
    super();
    this.folder = resolve(env.DATA_DIR, FOLDER);
  }

  async onModuleInit(): Promise<void> {
    await makeDataFolder(this.folder);
  }

  /** What it tells is flushed. */
  override async offset(id: string): Promise<number> {
    const file = await ignoreMissing(open(this.pathOf(id), 'r'));
    if (!file) return 0;
    try {
      await file.datasync();
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  }

  override async open(id: string, hold: Hold): Promise<GrowingBytes> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = await open(this.pathOf(id), flags, FILE_MODE);
    const { size } = await file.stat();
    // A new name is not durable by itself.
    if (size === 0) await flushFolder(this.folder);
    return new GrowingFile(file, size, hold);
  }

  override read(id: string): Readable {
    return createReadStream(this.pathOf(id));
  }

  override async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }

  override async ids(): Promise<string[]> {
    return (await readdir(this.folder)).filter((name) => UUID.test(name));
  }

  private pathOf(id: string): string {
    return join(this.folder, id);
  }
}

class GrowingFile extends GrowingBytes {
  constructor(
    private readonly file: FileHandle,
    size: number,
    hold: Hold,
  ) {
    super(size, hold);
  }

  override async cutTo(size: number): Promise<void> {
    await this.file.truncate(size);
    this.size = size;
  }

  override async flush(): Promise<void> {
    await this.file.datasync();
  }

  override async close(): Promise<void> {
    await this.file.close();
  }

  /** At a place of its own: a writer that lost its lease cannot move what another one adds. */
  protected override async add(chunk: Buffer): Promise<void> {
    for (let written = 0; written < chunk.length;) {
      const left = chunk.length - written;
      const { bytesWritten } = await this.file.write(chunk, written, left, this.size);
      written += bytesWritten;
      this.size += bytesWritten;
    }
  }
}
