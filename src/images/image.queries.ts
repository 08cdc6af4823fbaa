import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { type CompiledQuery, type Kysely, sql } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import { isoTime } from '../core/database/iso-time.js';
import { prepare } from '../core/database/prepared.js';
import type { FormatName } from './containers/container.js';
import type { Provenance } from './generated/provenance.js';
import type { ImageMetadata } from './image-metadata.js';
import type { ImageStatus, ImageType, Visibility } from './image.entity.js';
import type { FileSize } from './image-variant.entity.js';

/** A stored file as it is read for presenting and serving. */
export interface FileRow {
  name: FileSize;
  format: FormatName;
  storageKey: string;
  width: number;
  height: number;
  bytes: number;
  /** SHA-256 in hex. */
  checksum: string;
  /** ISO 8601 in UTC. */
  createdAt: string;
}

/** An image as it is read for presenting, with its files. */
export interface ImageRow {
  id: string;
  userId: string;
  type: ImageType;
  status: ImageStatus;
  title: string | null;
  description: string | null;
  prompt: string | null;
  visibility: Visibility;
  storageKey: string;
  version: number;
  /** Null while the picture is yet to be generated, as are the two below. */
  metadata: ImageMetadata | null;
  provenance: Provenance | null;
  checksum: string | null;
  coinsUsed: number;
  placeholder: string | null;
  dominantColor: string | null;
  errorCode: string | null;
  errorDetail: string | null;
  /** ISO 8601 in UTC. */
  createdAt: string;
  updatedAt: string;
  files: FileRow[];
}

/** The tables as these queries see them, with PostgreSQL's names. */
export interface ImageTables {
  images: {
    id: string;
    user_id: string;
    type: ImageType;
    status: ImageStatus;
    title: string | null;
    description: string | null;
    prompt: string | null;
    visibility: Visibility;
    storage_key: string;
    version: number;
    stored_bytes: string;
    metadata: ImageMetadata | null;
    provenance: Provenance | null;
    coins_used: string;
    checksum: string | null;
    placeholder: string | null;
    dominant_color: string | null;
    error_code: string | null;
    error_detail: string | null;
    created_at: string;
    updated_at: string;
  };
  image_variants: Omit<FileRow, 'storageKey' | 'createdAt'> & {
    image_id: string;
    storage_key: string;
    created_at: string;
  };
  image_links: { image_id: string };
}

/** A database that images are read from, be it a replica. */
export type ImageDatabase = Kysely<ImageTables>;

/** How many images of a type and status there are, and what they take. */
export interface StatsRow {
  type: ImageType;
  status: ImageStatus;
  count: number;
  bytes: number;
  coins: number;
}

/** Reads images for presenting. Plain SQL: entities cost four times as much on a list. */
@Injectable()
export class ImageQueries {
  private findStatement: ((values: { id: string }) => CompiledQuery<ImageRow>) | undefined;

  constructor(private readonly em: EntityManager) {}

  /** An image by id, whoever owns it. */
  async find(id: string): Promise<ImageRow | undefined> {
    this.findStatement ??= prepare<{ id: string }, ImageRow>((valueOf) =>
      selectImages(this.database).where('images.id', '=', valueOf('id')),
    );
    const { rows } = await this.database.executeQuery(this.findStatement({ id }));
    return rows[0];
  }

  /** An image that must be there. */
  async get(id: string): Promise<ImageRow> {
    const image = await this.find(id);
    if (!image) throw new Error(`There is no image ${id}.`);
    return image;
  }

  /** The newest upload of a user with these bytes, unless it failed. */
  async findEqual(userId: string, checksum: string): Promise<ImageRow | undefined> {
    return selectImages(this.database)
      .where('images.user_id', '=', userId)
      .where('images.checksum', '=', checksum)
      .where('images.type', '=', 'UPLOADED')
      .where('images.status', '<>', 'FAILED')
      .orderBy('images.created_at', 'desc')
      .limit(1)
      .executeTakeFirst();
  }

  /** The images of a user that follow another, or the first ones: the oldest first. */
  async listBehind(userId: string, last: ImageRow | undefined, limit: number): Promise<ImageRow[]> {
    const ofUser = selectImages(this.database).where('images.user_id', '=', userId);
    const behind = last
      ? ofUser.where(
          sql<boolean>`(images.created_at, images.id) > (${last.createdAt}::timestamptz, ${last.id}::uuid)`,
        )
      : ofUser;
    return behind.orderBy('images.created_at').orderBy('images.id').limit(limit).execute();
  }

  /** What a user has, by type and status. */
  async stats(userId: string): Promise<StatsRow[]> {
    return this.database
      .selectFrom('images')
      .select([
        'type',
        'status',
        sql<number>`count(*)::float8`.as('count'),
        sql<number>`sum(stored_bytes)::float8`.as('bytes'),
        sql<number>`sum(coins_used)::float8`.as('coins'),
      ])
      .where('user_id', '=', userId)
      .groupBy(['type', 'status'])
      .execute();
  }

  private get database(): ImageDatabase {
    return this.em.getKysely<ImageTables>();
  }
}

/** What every reading of images begins with. */
export function selectImages(database: ImageDatabase) {
  return database.selectFrom('images').select((images) => [
    'images.id',
    'images.user_id as userId',
    'images.type',
    'images.status',
    'images.title',
    'images.description',
    'images.prompt',
    'images.visibility',
    'images.storage_key as storageKey',
    'images.version',
    'images.metadata',
    'images.provenance',
    sql<number>`images.coins_used::float8`.as('coinsUsed'),
    'images.checksum',
    'images.placeholder',
    'images.dominant_color as dominantColor',
    'images.error_code as errorCode',
    'images.error_detail as errorDetail',
    isoTime('images.created_at').as('createdAt'),
    isoTime('images.updated_at').as('updatedAt'),
    jsonArrayFrom(
      images
        .selectFrom('image_variants as files')
        .select([
          'files.name',
          'files.format',
          'files.storage_key as storageKey',
          'files.width',
          'files.height',
          'files.bytes',
          'files.checksum',
          isoTime('files.created_at').as('createdAt'),
        ])
        .whereRef('files.image_id', '=', 'images.id'),
    ).as('files'),
  ]);
}
