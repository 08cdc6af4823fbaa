import { Inject, Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { sql } from 'kysely';
import { ENV, type Env } from '../../core/env.js';
import { type ListedObject, ObjectNotFound, Storage } from '../../storage/storage.js';
import { folderOf } from '../../storage/storage-key.js';
import { convertImage } from '../conversion/conversion.jobs.js';
import { inBatches } from './batches.js';
import type { Look } from './brake.js';

const BATCH_SIZE = 1_000;
/** Beyond its time-out, how long an attempt may hold on: its signal's grace and its lease. */
const ATTEMPT_MARGIN_MS = 60_000;

const IMAGE_ID = /^images\/[^/]+\/\d+-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/[^/]+$/;

interface ImageFacts {
  id: string;
  storage_key: string;
  is_work: boolean;
}

/**
 * Files in storage that no row knows.
 *
 * A file is known when it is the source of an image or one of its variants, when it is about to be
 * removed anyway, or when it lies in the folder of an image that is being made: an attempt stores
 * its files before it commits their rows.
 */
@Injectable()
export class StrayFiles {
  private readonly graceMs: number;

  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
    @Inject(ENV) env: Env,
  ) {
    // A younger file may belong to an upload or an attempt that has not committed yet.
    this.graceMs = Math.max(
      env.CLEANUP_GRACE_SECONDS * 1_000,
      env.UPLOAD_TIMEOUT_MS,
      convertImage.timeoutMs + ATTEMPT_MARGIN_MS,
    );
  }

  /** Walks all of storage by key and holds it against the rows. */
  async *find(signal: AbortSignal): AsyncGenerator<Look<string>> {
    for await (const files of inBatches(this.storage.listAll(), BATCH_SIZE)) {
      signal.throwIfAborted();
      const old = files.filter((file) => this.isOld(file)).map(({ key }) => key);
      yield { looked: files.length, suspects: await this.unknownOf(old) };
    }
  }

  /**
   * Looks again and removes the file if it is still a stray. No row will name it any more: every
   * attempt stores its files under names of its own, and has long ended when they are old.
   *
   * @returns false when it has gone, or is no stray any more
   */
  async remove(key: string): Promise<boolean> {
    if (!(await this.isStillOld(key))) return false;
    if ((await this.unknownOf([key])).length === 0) return false;
    await this.storage.delete(key);
    return true;
  }

  private isOld({ lastModified }: Pick<ListedObject, 'lastModified'>): boolean {
    return Date.now() - lastModified.getTime() > this.graceMs;
  }

  private async isStillOld(key: string): Promise<boolean> {
    try {
      return this.isOld(await this.storage.head(key));
    } catch (error) {
      if (error instanceof ObjectNotFound) return false;
      throw error;
    }
  }

  private async unknownOf(keys: string[]): Promise<string[]> {
    if (keys.length === 0) return [];
    const em = this.em.fork();
    const variants = await this.variantsAmong(em, keys);
    const images = await this.imagesOf(em, keys);
    const removals = await this.removalsOf(em, keys);
    const unknown = keys.filter((key) => {
      const image = images.get(imageIdOf(key) ?? '');
      return (
        !variants.has(key) &&
        image?.storage_key !== key &&
        !(image?.is_work && folderOf(image.storage_key) === folderOf(key)) &&
        !targetsFor(key).some((target) => removals.has(target))
      );
    });
    return this.withoutSources(em, unknown);
  }

  private async variantsAmong(em: EntityManager, keys: string[]): Promise<Set<string>> {
    const { rows } = await sql<{ storage_key: string }>`
      select storage_key from image_variants where storage_key = any(${keys}::text[])
    `.execute(em.getKysely());
    return new Set(rows.map(({ storage_key }) => storage_key));
  }

  /** The images in whose folders the files lie, by id. */
  private async imagesOf(em: EntityManager, keys: string[]): Promise<Map<string, ImageFacts>> {
    const ids = [...new Set(keys.map(imageIdOf))].filter((id) => id !== undefined);
    const { rows } = await sql<ImageFacts>`
      select id, storage_key, status in ('PENDING', 'PROCESSING') as is_work
      from images where id = any(${ids}::uuid[])
    `.execute(em.getKysely());
    return new Map(rows.map((row) => [row.id, row]));
  }

  private async removalsOf(em: EntityManager, keys: string[]): Promise<Set<string>> {
    const targets = [...new Set(keys.flatMap(targetsFor))];
    const { rows } = await sql<{ target: string }>`
      select target from file_removals where target = any(${targets}::text[])
    `.execute(em.getKysely());
    return new Set(rows.map(({ target }) => target));
  }

  /**
   * Whatever folder it lies in, a file that an image is made from stays. Sources have no index, so
   * this is asked only of the few that nothing else knows.
   */
  private async withoutSources(em: EntityManager, keys: string[]): Promise<string[]> {
    if (keys.length === 0) return [];
    const { rows } = await sql<{ storage_key: string }>`
      select storage_key from images where storage_key = any(${keys}::text[])
    `.execute(em.getKysely());
    const sources = new Set(rows.map(({ storage_key }) => storage_key));
    return keys.filter((key) => !sources.has(key));
  }
}

/** The image whose folder a file lies in. */
function imageIdOf(key: string): string | undefined {
  return IMAGE_ID.exec(key)?.[1];
}

/** What a removal may name to mean this file: its key, or a folder above it. */
function targetsFor(key: string): string[] {
  const targets = [key];
  for (let end = key.lastIndexOf('/'); end > 0; end = key.lastIndexOf('/', end - 1)) {
    targets.push(key.slice(0, end + 1));
  }
  return targets;
}
