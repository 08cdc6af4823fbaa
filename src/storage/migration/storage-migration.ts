import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import type { MigrationRecord } from './migration-record.js';
import { type ListedObject, ObjectNotFound, type Storage } from '../storage.js';

/** How many files are on their way at once. */
const AT_ONCE = 8;

/** What became of one file. */
export type Outcome =
  /** It is in the new store by an earlier run, which has compared it. */
  | 'known'
  /** It was there already, and is the same. */
  | 'verified'
  | 'copied'
  /** The new store had something else under its key, and has it no more. */
  | 'mended'
  /** It was deleted from the old store meanwhile. */
  | 'gone'
  /** It is not in the new store. */
  | 'missing'
  /** It is another one in the new store. */
  | 'different'
  | 'failed';

/** A file, and the size of what the new store lists under its key. */
interface Pair {
  file: ListedObject;
  foundBytes: number | undefined;
}

export interface MigrationOptions {
  /** Whether nothing is copied, and every file of the new store is read. */
  verify: boolean;
  /** Whether files are compared that an earlier run has compared already. */
  again: boolean;
  signal: AbortSignal;
  /** Hears of each file, with the error of one that failed. */
  report(file: ListedObject, outcome: Outcome, error?: unknown): void;
}

/**
 * Copies all files of one store to another. Each is read back and compared by its SHA-256 before it
 * counts. It deletes nothing, and may be stopped and begun again at any moment; both stores may be
 * in use meanwhile.
 */
export class StorageMigration {
  constructor(
    private readonly from: Storage,
    private readonly to: Storage,
    private readonly record: MigrationRecord,
  ) {}

  async run(options: MigrationOptions): Promise<void> {
    const pairs = this.pairs();
    const work = async (): Promise<void> => {
      for (;;) {
        options.signal.throwIfAborted();
        // An async generator answers one call after the other, so workers may share it.
        const next = await pairs.next();
        if (next.done) return;
        await this.tell(next.value, options);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** Both lists are in the order of their keys, so they are held against each other as they come. */
  private async *pairs(): AsyncGenerator<Pair> {
    const copies = this.to.listAll()[Symbol.asyncIterator]();
    const nextCopy = async () => (await copies.next()).value as ListedObject | undefined;
    let copy = await nextCopy();
    for await (const file of this.from.listAll()) {
      while (copy && copy.key < file.key) copy = await nextCopy();
      yield { file, foundBytes: copy?.key === file.key ? copy.bytes : undefined };
    }
  }

  private async tell(pair: Pair, options: MigrationOptions): Promise<void> {
    try {
      options.report(pair.file, await this.settle(pair, options));
    } catch (error) {
      options.signal.throwIfAborted();
      options.report(pair.file, 'failed', error);
    }
  }

  private async settle({ file, foundBytes }: Pair, options: MigrationOptions): Promise<Outcome> {
    const isKnown = foundBytes === file.bytes && this.record.has(file);
    if (isKnown && !options.verify && !options.again) return 'known';
    const checksum = await this.checksumIn(this.from, file.key, options.signal);
    if (checksum === undefined) return 'gone';
    if (foundBytes === file.bytes && (await this.isSame(file.key, checksum, options.signal))) {
      await this.record.add(file);
      return 'verified';
    }
    await this.record.forget(file);
    if (options.verify) return foundBytes === undefined ? 'missing' : 'different';
    return this.copy(file, checksum, foundBytes !== undefined, options.signal);
  }

  private async copy(
    file: ListedObject,
    checksum: string,
    isThere: boolean,
    signal: AbortSignal,
  ): Promise<Outcome> {
    try {
      const { stream } = await this.from.get(file.key);
      await this.to.upload(file.key, stream, { signal });
    } catch (error) {
      if (error instanceof ObjectNotFound) return 'gone';
      throw error;
    }
    if (!(await this.isSame(file.key, checksum, signal))) return 'different';
    await this.record.add(file);
    return isThere ? 'mended' : 'copied';
  }

  private async isSame(key: string, checksum: string, signal: AbortSignal): Promise<boolean> {
    return (await this.checksumIn(this.to, key, signal)) === checksum;
  }

  /** SHA-256 in hex; undefined when there is no such file. */
  private async checksumIn(
    storage: Storage,
    key: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      const { stream } = await storage.get(key);
      const hash = createHash('sha256');
      await pipeline(stream, hash, { signal });
      return hash.digest('hex');
    } catch (error) {
      if (error instanceof ObjectNotFound) return undefined;
      throw error;
    }
  }
}
