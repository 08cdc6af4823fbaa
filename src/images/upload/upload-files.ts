import type { Readable } from 'node:stream';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { ENV, type Env } from '../../core/env.js';
import { newId } from '../../core/ids.js';
import { FileRemovals } from '../../storage/file-removals.js';
import { Storage } from '../../storage/storage.js';
import { imageKey } from '../../storage/storage-key.js';
import type { ContainerFormat } from '../containers/container.js';
import { ImageQueries } from '../image.queries.js';
import type { StoreFile } from './incoming-file.js';
import type { ReceivedUpload } from './upload-form.js';

/** How long after the longest upload a file is removed that no transaction took over, in seconds. */
const ABANDONED_AFTER_SECONDS = 3 * 60;

/** An upload whose file is stored, and whose row is not there yet. */
export interface StoredUpload extends ReceivedUpload {
  id: string;
  userId: string;
  storageKey: string;
}

/**
 * The files of uploads that have no row yet.
 *
 * The key of a file is written down for removal before its first byte is stored, and taken off by
 * the transaction that inserts the row: who is killed in between leaves nothing for good. Every
 * attempt has a key of its own, also when the end of one resumable upload is repeated under the same
 * id, even by two processes at once. One of them gives its key to the image; what the others remove,
 * or leave written down, is only what they stored themselves.
 */
@Injectable()
export class UploadFiles {
  private readonly logger = new Logger(UploadFiles.name);

  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
    private readonly removals: FileRemovals,
    private readonly queries: ImageQueries,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** Streams the file to storage, and removes it again when the upload turns out to be refused. */
  async store(
    userId: string,
    id: string,
    read: (store: StoreFile) => Promise<ReceivedUpload>,
  ): Promise<StoredUpload> {
    const file = { userId, epochMs: Date.now(), imageId: id, variant: `upload-${newId()}` };
    let storageKey = '';
    let storing = Promise.resolve();
    try {
      const upload = await read((format, bytes, signal) => {
        storageKey = imageKey({ ...file, ext: format.extension });
        storing = this.storeFile(storageKey, format, bytes, signal);
        return storing;
      });
      return { ...upload, id, userId, storageKey };
    } catch (error) {
      // A client is given up at once, perhaps while its file gets its name.
      await storing.catch(() => undefined);
      await this.discard(storageKey);
      throw error;
    }
  }

  /** Writes the key down for removal, then stores the file. */
  private async storeFile(
    storageKey: string,
    { mimeType }: ContainerFormat,
    bytes: Readable,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    // An error that comes before storage listens would end the process; it stays in the stream.
    bytes.on('error', () => undefined);
    try {
      signal?.throwIfAborted();
      const afterSeconds = this.env.UPLOAD_TIMEOUT_MS / 1_000 + ABANDONED_AFTER_SECONDS;
      await this.removals.schedule(this.em, [storageKey], afterSeconds);
      await this.storage.upload(storageKey, bytes, { contentType: mimeType, signal });
    } catch (error) {
      bytes.destroy();
      throw error;
    }
  }

  /**
   * A connection that breaks during COMMIT leaves open whether the row is there. The removal tells:
   * only that transaction, which is waited for, or the worker takes it off the list.
   */
  async discardUnlessCommitted({ id, storageKey }: StoredUpload): Promise<void> {
    try {
      const isToGo = await this.removals.isScheduled(storageKey);
      if (isToGo || !(await this.queries.find(id))) await this.discard(storageKey);
    } catch (error) {
      this.logger.warn({ err: error, storageKey, msg: 'A file is left to its removal' });
    }
  }

  /** Removes the file now, or has the worker do so. */
  async discard(storageKey: string): Promise<void> {
    if (storageKey !== '') await this.removals.removeNow(storageKey);
  }
}
