import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { FILE_MODE } from '../disk/disk-files.js';
import type { ListedObject } from '../storage.js';

const FORGOTTEN = '-';

/**
 * Which files of this machine an earlier run has found in a new store, byte for byte: a file of one
 * line for each, which is only added to; a line that begins with {@link FORGOTTEN} takes an earlier
 * one back. A line that a killed process left half-written is another file's, or none's.
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
    for await (const line of createInterface({ input: createReadStream(path) })) {
      if (line.startsWith(FORGOTTEN)) known.delete(line.slice(FORGOTTEN.length));
      else known.add(line);
    }
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

  /** What was found to be another file since is to be compared by the next run, whatever it is. */
  async forget(file: ListedObject): Promise<void> {
    const line = this.lineOf(file);
    if (this.known.delete(line)) await this.file.appendFile(`${FORGOTTEN}${line}\n`);
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private lineOf({ key, bytes, lastModified }: ListedObject): string {
    return JSON.stringify([this.target, key, bytes, lastModified.getTime()]);
  }
}
