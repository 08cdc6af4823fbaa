import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { FILE_MODE } from '../disk/disk-files.js';
import type { ListedObject } from '../storage.js';

/**
 * Which files of this machine an earlier run has found in a new store, byte for byte: a file of one
 * line for each, which is only added to. A line that a killed process left half-written is another
 * file's, or none's.
 */
export class MigrationRecord {
  private constructor(
    private readonly file: FileHandle,
    private readonly known: Set<string>,
    /** Where the files went: another store knows nothing of them. */
    private readonly target: string,
  ) {}

  static async open(path: string, target: string): Promise<MigrationRecord> {
    const file = await open(path, 'a+', FILE_MODE);
    const known = new Set<string>();
    for await (const line of createInterface({ input: createReadStream(path) })) known.add(line);
    // Ends what a killed process began.
    await file.appendFile('\n');
    return new MigrationRecord(file, known, target);
  }

  has(file: ListedObject): boolean {
    return this.known.has(this.lineOf(file));
  }

  async add(file: ListedObject): Promise<void> {
    if (this.has(file)) return;
    const line = this.lineOf(file);
    this.known.add(line);
    await this.file.appendFile(`${line}\n`);
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private lineOf({ key, bytes, lastModified }: ListedObject): string {
    return JSON.stringify([this.target, key, bytes, lastModified.getTime()]);
  }
}
