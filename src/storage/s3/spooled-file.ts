import { randomUUID } from 'node:crypto';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { FOLDER_MODE } from '../../core/process/data-folder.js';
import { FILE_MODE } from '../disk/disk-files.js';

/** How much of it is read at once, in bytes. */
const READ_BYTES = 256 * 1024;

/**
 * A file in which an upload gathers, for as long as its client takes. It has lost its name when it is
 * made: whoever is killed leaves nothing, or an empty file if it was in that very moment.
 */
export class SpooledFile {
  /** How many bytes have gathered. */
  bytes = 0;

  private constructor(private readonly file: FileHandle) {}

  /** The caller closes it. @param folder is made when it is not there */
  static async create(folder: string): Promise<SpooledFile> {
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    const path = join(folder, `upload-${randomUUID()}`);
    const file = await open(path, 'wx+', FILE_MODE);
    try {
      await unlink(path);
      return new SpooledFile(file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async add(chunk: Buffer): Promise<void> {
    for (let written = 0; written < chunk.length;) {
      const left = chunk.length - written;
      const { bytesWritten } = await this.file.write(chunk, written, left, this.bytes);
      written += bytesWritten;
      this.bytes += bytesWritten;
    }
  }

  /** All that has gathered, piece by piece, as fast as it is taken. */
  async *content(signal?: AbortSignal): AsyncGenerator<Buffer> {
    for (let at = 0; at < this.bytes;) {
      signal?.throwIfAborted();
      const piece = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, this.bytes - at));
      const { bytesRead } = await this.file.read(piece, 0, piece.length, at);
      if (bytesRead === 0) throw new Error('An upload is shorter than what was written of it');
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
