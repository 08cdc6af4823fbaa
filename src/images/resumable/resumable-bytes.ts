import { constants, createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Readable, Writable } from 'node:stream';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { payloadTooLarge, Problem } from '../../core/problem.js';
import { flushFolder, ignoreMissing } from '../../storage/disk-files.js';

/** Where uploads grow, below `DATA_DIR`. */
const FOLDER = 'uploads';
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The bytes of unfinished uploads, each a file named by its id. How far one has come is the size of
 * its file, and nothing else. Whoever changes one holds its lease.
 */
@Injectable()
export class ResumableBytes implements OnModuleInit {
  private readonly folder: string;

  constructor(@Inject(ENV) env: Env) {
    this.folder = resolve(env.DATA_DIR, FOLDER);
  }

  async onModuleInit(): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: FOLDER_MODE });
  }

  /** How many bytes have come. What it tells is flushed: a power cut does not take it back. */
  async offset(id: string): Promise<number> {
    const file = await ignoreMissing(open(this.pathOf(id), 'r'));
    if (!file) return 0;
    try {
      await file.datasync();
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  }

  /** Opens the bytes of an upload to go on with them. The caller closes them. */
  async open(id: string): Promise<GrowingFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = await open(this.pathOf(id), flags, FILE_MODE);
    const { size } = await file.stat();
    // A new name is not durable by itself.
    if (size === 0) await flushFolder(this.folder);
    return new GrowingFile(file, size);
  }

  /** The bytes from their start. The caller reads them to their end or destroys the stream. */
  read(id: string): Readable {
    return createReadStream(this.pathOf(id));
  }

  /** Removes the bytes; having none is no error. */
  async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }

  /** The ids of all uploads of which there are bytes here. */
  async ids(): Promise<string[]> {
    return (await readdir(this.folder)).filter((name) => UUID.test(name));
  }

  private pathOf(id: string): string {
    return join(this.folder, id);
  }
}

/** The bytes of one upload while a request adds to them. */
export class GrowingFile {
  constructor(
    private readonly file: FileHandle,
    /** How many bytes there are. */
    public size: number,
  ) {}

  /**
   * A stream whose bytes are added.
   *
   * @param end how many bytes there may be at most; with one more the stream fails with Problem
   * `payload-too-large`
   * @param beforeWrite is awaited before each write; when it throws, nothing is written
   */
  sink(end: number, beforeWrite: () => Promise<void>): Writable {
    const add = async (chunk: Buffer): Promise<void> => {
      if (this.size + chunk.length > end) {
        throw new Problem(payloadTooLarge, 'The body goes on past the end of the file.');
      }
      await beforeWrite();
      await this.write(chunk);
    };
    return new Writable({
      write(chunk: Buffer, _encoding, done) {
        add(chunk).then(() => {
          done();
        }, done);
      },
    });
  }

  /** Gives back what came after the first `size` bytes. */
  async cutTo(size: number): Promise<void> {
    await this.file.truncate(size);
    this.size = size;
  }

  /** Makes all that came durable. */
  async flush(): Promise<void> {
    await this.file.datasync();
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  /** At a place of its own: a writer that lost its lease cannot move what another one adds. */
  private async write(chunk: Buffer): Promise<void> {
    for (let written = 0; written < chunk.length;) {
      const left = chunk.length - written;
      const { bytesWritten } = await this.file.write(chunk, written, left, this.size);
      written += bytesWritten;
      this.size += bytesWritten;
    }
  }
}
