import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { sql } from 'kysely';
import { RowChanges } from '../../core/database/row-changes.js';
import { INTERNAL_ERROR } from '../../queue/work-lease.js';
import { ObjectNotFound, Storage } from '../../storage/storage.js';
import { folderOf } from '../../storage/storage-key.js';
import { FILE_MISSING, Image } from '../image.entity.js';
import { mapSome } from './batches.js';
import type { Look } from './brake.js';
import type { FindingKind, Remedy } from './findings.js';

const PAGE_SIZE = 200;
const IMAGES_AT_ONCE = 8;
/** Each reads whole files. */
const CHECKSUMS_AT_ONCE = 4;

interface RecordedFile {
  key: string;
  /** Null for the source of an image that has no row of its own. */
  bytes: number | null;
  checksum: string | null;
}

/**
 * An image that is to have its files: it is COMPLETED, or FAILED because they were lost, perhaps
 * before it was made for the first time: then its version is 0, and its only file the upload.
 */
interface KeptImage {
  id: string;
  user_id: string;
  status: 'COMPLETED' | 'FAILED';
  version: number;
  storage_key: string;
  error_code: string | null;
  files: RecordedFile[];
}

interface Fault {
  kind: Extract<FindingKind, 'missing-file' | 'wrong-size' | 'wrong-checksum' | 'found-again'>;
  key: string;
}

/** An image whose state is not that of its files, at the version that was looked at. */
export interface FaultyImage {
  id: string;
  status: KeptImage['status'];
  version: number;
  faults: Fault[];
  remedy: Remedy;
}

/**
 * Rows of completed images whose files are not there, or not as they were stored; and rows that were
 * marked FAILED for that, or for an upload that was missing, and whose files are there again.
 */
@Injectable()
export class LostFiles {
  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
    private readonly changes: RowChanges,
  ) {}

  /**
   * Walks all images that are to have files, by id, and holds them against storage.
   *
   * @param checksums whether each file is read and compared with its SHA-256
   */
  async *find(checksums: boolean, signal: AbortSignal): AsyncGenerator<Look<FaultyImage>> {
    const atOnce = checksums ? CHECKSUMS_AT_ONCE : IMAGES_AT_ONCE;
    let last: string | undefined;
    do {
      signal.throwIfAborted();
      const page = await this.readPage(last);
      const found = await mapSome(page, atOnce, async (image) => {
        signal.throwIfAborted();
        return this.check(image, checksums);
      });
      yield { looked: page.length, suspects: found.filter((image) => image !== undefined) };
      last = page.at(-1)?.id;
    } while (last !== undefined);
  }

  /**
   * Looks again and repairs what is still faulty. The database decides races: an image that was
   * changed or deleted since it was looked at is left alone, and so is one that now needs another
   * remedy: that has not been weighed.
   *
   * @returns false when there is nothing to repair any more, or it cannot be
   */
  async repair({ id, remedy }: FaultyImage, checksums: boolean): Promise<boolean> {
    const image = await this.read(id);
    const faulty = image && (await this.examine(image, checksums));
    if (faulty?.remedy !== remedy) return false;
    return this.em.fork().transactional(async (em) => {
      const row = await em.findOne(
        Image,
        { id, status: faulty.status, version: faulty.version },
        { lockMode: LockMode.PESSIMISTIC_WRITE },
      );
      if (!row) return false;
      if (remedy === 'reprocess') row.revive();
      else if (remedy === 'restore') row.restore();
      else row.lose('Files of the picture are lost in storage, and cannot be made anew.');
      await this.changes.announce(em, id);
      return true;
    });
  }

  /** A file may have been replaced between the reading of its row and that of storage: look twice. */
  private async check(image: KeptImage, checksums: boolean): Promise<FaultyImage | undefined> {
    if (!(await this.examine(image, checksums))) return undefined;
    const again = await this.read(image.id);
    return again && this.examine(again, checksums);
  }

  private async examine(image: KeptImage, checksums: boolean): Promise<FaultyImage | undefined> {
    const sizes = await this.sizesIn(image);
    const faults: Fault[] = [];
    for (const file of recordedFiles(image)) {
      const kind = await this.faultOf(file, sizes.get(file.key), checksums);
      if (kind) faults.push({ kind, key: file.key });
    }
    const { id, status, version } = image;
    if (status === 'COMPLETED') {
      const remedy = remedyFor(image, faults);
      return faults.length === 0 ? undefined : { id, status, version, faults, remedy };
    }
    // Known to be lost already.
    if (faults.length > 0) return undefined;
    const found = { kind: 'found-again' as const, key: image.storage_key };
    return { id, status, version, faults: [found], remedy: version > 0 ? 'restore' : 'reprocess' };
  }

  /** What lies in the folder of an image: one request to the store for all its files. */
  private async sizesIn({ user_id, storage_key }: KeptImage): Promise<Map<string, number>> {
    const folder = folderOf(storage_key).split('/').slice(2).join('/');
    const sizes = new Map<string, number>();
    for await (const { key, bytes } of this.storage.list(user_id, folder)) sizes.set(key, bytes);
    return sizes;
  }

  private async faultOf(
    file: RecordedFile,
    listedBytes: number | undefined,
    checksums: boolean,
  ): Promise<Fault['kind'] | undefined> {
    try {
      // Stored after the listing, or elsewhere.
      const bytes = listedBytes ?? (await this.storage.head(file.key)).bytes;
      if (file.bytes !== null && bytes !== file.bytes) return 'wrong-size';
      if (!checksums || file.checksum === null) return undefined;
      return (await this.checksumOf(file.key)) === file.checksum ? undefined : 'wrong-checksum';
    } catch (error) {
      if (error instanceof ObjectNotFound) return 'missing-file';
      throw error;
    }
  }

  private async checksumOf(key: string): Promise<string> {
    const hash = createHash('sha256');
    const { stream } = await this.storage.get(key);
    await pipeline(stream, hash);
    return hash.digest('hex');
  }

  private async readPage(after: string | undefined): Promise<KeptImage[]> {
    const { rows } = await sql<KeptImage>`
      ${KEPT} ${after === undefined ? sql`` : sql`and id > ${after}::uuid`}
      order by id limit ${PAGE_SIZE}
    `.execute(this.em.fork().getKysely());
    return rows;
  }

  private async read(id: string): Promise<KeptImage | undefined> {
    const { rows } = await sql<KeptImage>`${KEPT} and id = ${id}::uuid`.execute(
      this.em.fork().getKysely(),
    );
    return rows[0];
  }
}

const KEPT = sql`
  select id, user_id, status, version, storage_key, error_code,
    (select coalesce(json_agg(json_build_object(
       'key', file.storage_key, 'bytes', file.bytes, 'checksum', file.checksum)
       order by file.storage_key), '[]')
     from image_variants as file where file.image_id = images.id) as files
  from images
  where (status = 'COMPLETED' or (status = 'FAILED' and error_code = ${FILE_MISSING}))`;

/** The source is among the variants, as the original; a row that says otherwise is believed. */
function recordedFiles({ storage_key, files }: KeptImage): RecordedFile[] {
  return files.some(({ key }) => key === storage_key)
    ? files
    : [{ key: storage_key, bytes: null, checksum: null }, ...files];
}

/**
 * All files are made anew from the original, so long as that is sound. What was tried already, and
 * refused for the picture's own sake, would be refused again.
 */
function remedyFor({ storage_key, error_code }: KeptImage, faults: Fault[]): Remedy {
  const source = faults.find(({ key }) => key === storage_key);
  const isLost = (fault: Fault) => fault.kind !== 'wrong-checksum';
  if (source) return isLost(source) ? 'mark-failed' : 'none';
  if (error_code === null || error_code === INTERNAL_ERROR.code) return 'reprocess';
  return faults.some(isLost) ? 'mark-failed' : 'none';
}
