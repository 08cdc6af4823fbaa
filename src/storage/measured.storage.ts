import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Problem } from '../core/problems/problem.js';
import { inSpan } from '../core/tracing/in-span.js';
import type { StorageMetrics, StorageOutcome } from './storage-metrics.js';
import {
  type AskedRange,
  type DirectUrlOptions,
  type ListedObject,
  type ObjectHead,
  ObjectNotFound,
  RangeNotSatisfiable,
  Storage,
  type StoredFile,
  type StoredObject,
  type UploadOptions,
} from './storage.js';

/**
 * Any driver, measured: each call, how it ended, and the bytes of its streams. It changes nothing
 * of what the driver does, and no byte passes through it.
 *
 * Every method of {@link Storage} is handed on, also those with a body there: the driver may have
 * its own. A test holds that.
 */
export class MeasuredStorage extends Storage {
  constructor(
    private readonly inner: Storage,
    private readonly metrics: StorageMetrics,
  ) {
    super();
  }

  override get driver() {
    return this.inner.driver;
  }

  override get servesPublicFiles() {
    return this.inner.servesPublicFiles;
  }

  /** As slow as who sends the stream. */
  override upload(key: string, stream: Readable, options?: UploadOptions): Promise<StoredFile> {
    return this.write('upload', key, () => this.inner.upload(key, stream, options));
  }

  override uploadBuffer(key: string, buffer: Buffer, options?: UploadOptions) {
    return this.write('upload_buffer', key, () => this.inner.uploadBuffer(key, buffer, options));
  }

  override uploadFile(key: string, path: string, options?: UploadOptions): Promise<StoredFile> {
    return this.write('upload_file', key, () => this.inner.uploadFile(key, path, options));
  }

  /** `get` is until the object is open, `read` from there until its stream is closed. */
  override async get(key: string, options?: { range?: AskedRange }): Promise<StoredObject> {
    const object = await this.measure('get', key, () => this.inner.get(key, options));
    this.watch(object);
    return object;
  }

  override async download(key: string, path: string, options?: { signal?: AbortSignal }) {
    await this.measure('download', key, () => this.inner.download(key, path, options));
    // The file is the caller's now, who may have moved it already.
    const file = await stat(path).catch(() => undefined);
    if (file) this.metrics.moved(this.driver, 'read', file.size);
  }

  override head(key: string): Promise<ObjectHead> {
    return this.measure('head', key, () => this.inner.head(key));
  }

  override delete(key: string): Promise<void> {
    return this.measure('delete', key, () => this.inner.delete(key));
  }

  override list(userId: string, prefix?: string): AsyncIterable<ListedObject> {
    return this.measureListing('list', this.inner.list(userId, prefix));
  }

  override listAll(): AsyncIterable<ListedObject> {
    return this.measureListing('list_all', this.inner.listAll());
  }

  override listFolder(folder: string): AsyncIterable<ListedObject> {
    return this.measureListing('list_folder', this.inner.listFolder(folder));
  }

  /** Calculated, not asked for: lists make dozens of them, and there is nothing to measure. */
  override getPublicUrl(key: string): string {
    return this.inner.getPublicUrl(key);
  }

  override createSignedUrls(keys: readonly string[], seconds: number): readonly string[] {
    return this.inner.createSignedUrls(keys, seconds);
  }

  override createDirectUrl(key: string, options: DirectUrlOptions): Promise<string | undefined> {
    return this.inner.createDirectUrl(key, options);
  }

  override removeUnfinished(olderThanMs: number): Promise<number> {
    return this.measure('remove_unfinished', undefined, () =>
      this.inner.removeUnfinished(olderThanMs),
    );
  }

  override check(): Promise<void> {
    return this.measure('check', undefined, () => this.inner.check());
  }

  private async write(
    operation: string,
    key: string,
    work: () => Promise<StoredFile>,
  ): Promise<StoredFile> {
    const stored = await this.measure(operation, key, work);
    this.metrics.moved(this.driver, 'written', stored.bytes);
    return stored;
  }

  private async measure<T>(
    operation: string,
    key: string | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const startedAt = performance.now();
    try {
      const attributes = {
        'atelier.storage.driver': this.driver,
        ...(key !== undefined && { 'atelier.storage.key': key }),
      };
      const result = await inSpan(`storage ${operation}`, { kind: 'client', attributes }, work);
      this.metrics.ended(this.driver, operation, 'completed', startedAt);
      return result;
    } catch (error) {
      this.metrics.ended(this.driver, operation, outcomeOf(error), startedAt);
      throw error;
    }
  }

  /** The whole of it, with the time that whoever consumes it takes. */
  private async *measureListing(
    operation: string,
    objects: AsyncIterable<ListedObject>,
  ): AsyncGenerator<ListedObject> {
    const startedAt = performance.now();
    let outcome: StorageOutcome = 'aborted';
    try {
      yield* objects;
      outcome = 'completed';
    } catch (error) {
      outcome = outcomeOf(error);
      throw error;
    } finally {
      this.metrics.ended(this.driver, operation, outcome, startedAt);
    }
  }

  /**
   * Counts without touching the stream: a listener for its data would make it flow, and a stream in
   * between would cost a copy. A stream that is left early tells itself how far it came.
   */
  private watch({ stream, range, bytes }: StoredObject): void {
    const startedAt = performance.now();
    const whole = range ? range.end - range.start + 1 : bytes;
    let outcome: StorageOutcome = 'aborted';
    stream.once('end', () => {
      outcome = 'completed';
    });
    stream.once('error', (error) => {
      outcome = outcomeOf(error);
    });
    stream.once('close', () => {
      const { bytesRead = 0 } = stream as { bytesRead?: number };
      this.metrics.moved(this.driver, 'read', outcome === 'completed' ? whole : bytesRead);
      this.metrics.ended(this.driver, 'read', outcome, startedAt);
    });
  }
}

/**
 * What the caller is to blame for is no failure of the store: it may refuse what it sends itself with
 * a Problem while it streams, or ask for a range that is none.
 */
function outcomeOf(error: unknown): StorageOutcome {
  if (error instanceof ObjectNotFound) return 'not_found';
  if (error instanceof RangeNotSatisfiable) return 'completed';
  const isAborted = error instanceof Problem || (error as Error).name === 'AbortError';
  return isAborted ? 'aborted' : 'failed';
}
