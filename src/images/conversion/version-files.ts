import { Inject, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { ENV, type Env } from '../../core/env.js';
import { FileRemovals } from '../../storage/file-removals.js';
import { Storage } from '../../storage/storage.js';
import { folderOf } from '../../storage/storage-key.js';
import { CONTAINER_FORMATS, type FormatName } from '../containers/container.js';
import { together } from '../decoding/together.js';
import type { DecodeResult, MadeFile } from '../decoding/variants.js';
import type { Image } from '../image.entity.js';
import { type FileSize, ImageVariant, type StoredFile } from '../image-variant.entity.js';
import { convertImage } from './conversion.jobs.js';
import { FileNames } from './file-names.js';

/**
 * How much longer than the attempt that stored them files are kept that no transaction takes over, in
 * seconds. Its transaction may have to wait for the database, and has to come well before they are removed.
 */
const KEPT_BEYOND_SECONDS = 5 * 60;

type NamedFile = MadeFile & { name: FileSize; format: FormatName };

/** The files of one version, stored; no row names them yet. */
export interface StoredVersion {
  version: number;
  files: StoredFile[];
  /** The keys among them that this attempt stored. */
  newKeys: string[];
}

/**
 * Stores the files of a new version, and puts them in the place of those before.
 *
 * Every attempt has a version of its own, so that no file is ever written twice, whoever else is at
 * work on the image. What it stores is written down for removal first, and taken off that list by
 * the transaction that gives the files their rows: an attempt that fails, or is killed, leaves none.
 */
@Injectable()
export class VersionFiles {
  private readonly logger = new Logger(VersionFiles.name);
  private readonly names: FileNames;

  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
    private readonly removals: FileRemovals,
    @Inject(ENV) private readonly env: Env,
  ) {
    this.names = new FileNames(env);
  }

  /**
   * Stores what decoding made; an original that is stored already stays where it is.
   *
   * @param timeoutMs how long the attempt that this is a part of may take, in milliseconds
   */
  async store(
    image: Image,
    decoded: DecodeResult,
    signal: AbortSignal,
    timeoutMs = convertImage.timeoutMs,
  ): Promise<StoredVersion> {
    const version = image.lastVersion;
    const original = { name: 'original' as const, ...decoded.original };
    const keptSince = await this.storedSince(image, original.checksum);
    const keyOf = ({ name, format }: NamedFile) =>
      folderOf(image.storageKey) + this.names.nameOf({ imageId: image.id, name, version, format });
    const made = [...(keptSince ? [] : [original]), ...decoded.variants].map((file) => ({
      file,
      key: keyOf(file),
    }));
    const newKeys = made.map(({ key }) => key);
    await this.removals.schedule(this.em, newKeys, timeoutMs / 1_000 + KEPT_BEYOND_SECONDS);
    await together(made.map(({ file, key }) => this.upload(file, key, signal)));
    const files = made.map(({ file, key }) => storedFile(image, file, key));
    if (keptSince) {
      files.unshift({ ...storedFile(image, original, image.storageKey), storedAt: keptSince });
    }
    return { version, files, newKeys };
  }

  /**
   * Puts a new version in the place of the one before, in the transaction of `em`. The upload, which
   * holds what its owner did not mean to show, goes at once; files that links lead to stay for the
   * grace. It can be done again in another transaction when that one fails.
   *
   * @throws Error when this attempt took so long that its files are being removed
   */
  async replace(
    image: Image,
    em: EntityManager,
    { version, files, newKeys }: StoredVersion,
    decoded: DecodeResult,
  ): Promise<void> {
    await this.removals.cancel(em, newKeys);
    const older = await em.execute<{ storage_key: string }[]>(
      'delete from image_variants where image_id = ? returning storage_key',
      [image.id],
    );
    const current = new Set(files.map(({ storageKey }) => storageKey));
    const linked = older.map(({ storage_key }) => storage_key).filter((key) => !current.has(key));
    await this.removals.schedule(em, linked, this.env.CLEANUP_GRACE_SECONDS);
    if (image.version === 0 && !image.isUnmade) {
      await this.removals.schedule(em, [image.storageKey], 0);
    }
    em.persist(files.map((file) => new ImageVariant(file)));
    image.complete({
      ...decoded,
      version,
      storageKey: originalOf(files).storageKey,
      storedBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      width: decoded.original.width,
      height: decoded.original.height,
    });
  }

  /**
   * Removes the files of a version that no transaction took over, before their time. Those of one that
   * was taken over stay, and a transaction that is just doing so is waited for.
   */
  async discard({ newKeys }: StoredVersion): Promise<void> {
    try {
      for (const key of newKeys) {
        if (await this.removals.isScheduled(key)) await this.removals.removeNow(key);
      }
    } catch (error) {
      this.logger.warn({ err: error, newKeys, msg: 'Files are left to their removal' });
    }
  }

  /** Stripping is the same each time, so the original that was decoded may be the one to store. */
  private async storedSince(
    { id, storageKey }: Image,
    checksum: string,
  ): Promise<Date | undefined> {
    const stored = await this.em
      .fork()
      .findOne(ImageVariant, { imageId: id, name: 'original', storageKey, checksum });
    return stored?.createdAt;
  }

  private async upload({ path, format }: NamedFile, key: string, signal: AbortSignal) {
    const contentType = CONTAINER_FORMATS[format].mimeType;
    await this.storage.uploadFile(key, path, { contentType, signal });
  }
}

function originalOf(files: StoredFile[]): StoredFile {
  const original = files.find(({ name }) => name === 'original');
  if (!original) throw new Error('A version has no original.');
  return original;
}

function storedFile({ id }: Image, { path: _, ...file }: NamedFile, key: string): StoredFile {
  return { imageId: id, storageKey: key, ...file };
}
