import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** An inclusive range of bytes, counted from 0 as in HTTP. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * What part of an object is asked for: from `start` to `end` or the last byte, whichever comes
 * first, or its `last` bytes, of which it may have fewer.
 */
export type AskedRange = { start: number; end?: number } | { last: number };

export interface UploadOptions {
  /**
   * For stores that keep one. By default, and on the disk always, the type follows from the key's
   * extension, see {@link contentTypeOf}.
   */
  contentType?: string;
  /** Ends the upload with an AbortError; one that comes after the object is stored changes nothing. */
  signal?: AbortSignal;
}

export interface StoredFile {
  key: string;
  /** Size of the whole object. */
  bytes: number;
}

export interface ListedObject extends StoredFile {
  lastModified: Date;
}

/** What is known of an object without reading it. */
export interface ObjectHead {
  /** Size of the whole object, also when only a range of it was asked for. */
  bytes: number;
  contentType: string;
  lastModified: Date;
}

export interface StoredObject extends ObjectHead {
  /** Whoever asked for it must read it to its end or destroy it: an open file hangs on it. */
  stream: Readable;
  /** What the stream carries, when a range was asked for. */
  range?: ByteRange;
}

/** How a store is to serve an object by itself. */
export interface DirectUrlOptions {
  /** The one method that the address is good for. */
  method: 'GET' | 'HEAD';
  /** When its life begins, which is in the past. */
  from: Date;
  /** How long that is: 1 to {@link MAX_SIGNED_URL_SECONDS}, whole. */
  seconds: number;
  cacheControl: string;
  /** For who saves the file. */
  fileName: string;
}

/** Nothing is stored under this key. */
export class ObjectNotFound extends Error {
  constructor(readonly key: string) {
    super(`Nothing is stored as ${key}`);
    this.name = 'ObjectNotFound';
  }
}

/** No byte of the object lies in the range; HTTP's 416 tells the client the whole size. */
export class RangeNotSatisfiable extends Error {
  constructor(
    readonly key: string,
    readonly bytes: number,
  ) {
    super(`No byte of ${key}, which has ${bytes}, lies in the range`);
    this.name = 'RangeNotSatisfiable';
  }
}

/**
 * Where files are kept, and the token by which drivers are injected.
 *
 * Objects are whole or absent: readers see the old object, the new one or none, never a part. Keys
 * follow {@link assertStorageKey}; every method refuses others with InvalidStorageKey. Faults of
 * the store itself (a full disk, a lost connection) pass through as they are.
 */
export abstract class Storage {
  /** As `/health/capabilities` names it. */
  abstract readonly driver: 'disk' | 's3';

  /** Whether clients are to fetch what anyone may see at {@link getPublicUrl}, past the API. */
  abstract readonly servesPublicFiles: boolean;

  /**
   * Stores what the stream carries, in place of an older object of that key. It is durable when
   * the promise is kept. When the stream fails or ends early, or the signal aborts, nothing
   * changes. The stream is destroyed in every failure.
   */
  abstract upload(key: string, stream: Readable, options?: UploadOptions): Promise<StoredFile>;

  /** {@link upload} for bytes that are in memory already. */
  uploadBuffer(key: string, buffer: Buffer, options?: UploadOptions): Promise<StoredFile> {
    return this.upload(key, Readable.from(buffer), options);
  }

  /**
   * {@link upload} for a file of this machine. It must not be written to afterwards: the store may
   * hold the very same file.
   */
  uploadFile(key: string, path: string, options?: UploadOptions): Promise<StoredFile> {
    return this.upload(key, createReadStream(path), options);
  }

  /**
   * Opens an object.
   *
   * @throws ObjectNotFound
   * @throws RangeNotSatisfiable when the range begins past the end, is empty or is no range; an
   *   empty object has none
   */
  abstract get(key: string, options?: { range?: AskedRange }): Promise<StoredObject>;

  /**
   * Makes an object a new file of this machine, for reading alone: the store may hold the very same
   * file. After an error it may be there in part.
   *
   * @throws ObjectNotFound
   */
  async download(key: string, path: string, { signal }: { signal?: AbortSignal } = {}) {
    const { stream } = await this.get(key);
    await pipeline(stream, createWriteStream(path, { flags: 'wx' }), { signal });
  }

  /** What {@link get} would tell, without opening the object. @throws ObjectNotFound */
  abstract head(key: string): Promise<ObjectHead>;

  /** Deletes an object; one that is gone already is no error. Readers that have it open go on. */
  abstract delete(key: string): Promise<void>;

  /**
   * The objects of one user whose keys begin with `images/{userId}/{prefix}`, ascending by key, read
   * as they are consumed. What is stored or deleted meanwhile may or may not be among them.
   */
  abstract list(userId: string, prefix?: string): AsyncIterable<ListedObject>;

  /**
   * The objects of all users, that is all keys below `images/`, ascending by key. They are read as
   * they are consumed, so that memory holds one folder or one page at a time, never all of them.
   *
   * As in {@link list}, what is stored or deleted meanwhile may or may not be among them: an object
   * that is missing here may have come later, and one that is listed may be gone already.
   */
  abstract listAll(): AsyncIterable<ListedObject>;

  /**
   * The objects below any folder, as {@link listAll} tells those of pictures.
   *
   * @param folder with its slashes, such as `uploads/`; anything else is InvalidStorageKey
   */
  abstract listFolder(folder: string): AsyncIterable<ListedObject>;

  /**
   * An address that serves the object to anyone, for as long as the object exists. It cannot be taken
   * back: who has kept it reads the object also when nobody else is to see it any more.
   */
  abstract getPublicUrl(key: string): string;

  /**
   * Addresses that serve objects to whoever holds them, for this many seconds or up to a thirtieth
   * less: lists that are asked for again then tell the same addresses, which browsers know.
   *
   * @param keys of objects that are always told of together, and in this order
   * @param seconds 1 to {@link MAX_SIGNED_URL_SECONDS}, whole; anything else is a RangeError
   * @returns one for each key, in their order
   */
  abstract createSignedUrls(keys: readonly string[], seconds: number): readonly string[];

  /**
   * An address of the store itself, signed like those of {@link createSignedUrls}, for clients that
   * are to fetch the object there; undefined when they are to fetch it from the API. The same options
   * give the same address, so that browsers find again what they keep.
   *
   * @throws RangeError as {@link createSignedUrls}
   */
  abstract createDirectUrl(key: string, options: DirectUrlOptions): Promise<string | undefined>;

  /**
   * Clears away what killed processes stored in part, and has not grown for so long. It is none of
   * the objects that {@link list} tells of.
   *
   * @returns how many there were
   */
  abstract removeUnfinished(olderThanMs: number): Promise<number>;

  /** Rejects when the store cannot take files now. Cheap enough for every readiness probe. */
  abstract check(): Promise<void>;
}

/** Seven days: the longest that S3 signs for, so that no driver promises more than another. */
export const MAX_SIGNED_URL_SECONDS = 604_800;

/**
 * The first and the last byte of what was asked for.
 *
 * @param bytes size of the whole object
 * @throws RangeNotSatisfiable
 */
export function resolveRange(key: string, bytes: number, asked: AskedRange): ByteRange {
  const { start, end = bytes - 1 } =
    'last' in asked ? { start: Math.max(0, bytes - asked.last) } : asked;
  const range = { start, end: Math.min(end, bytes - 1) };
  const isWhole = Number.isInteger(range.start) && Number.isInteger(range.end);
  if (!isWhole || range.start < 0 || range.start > range.end) {
    throw new RangeNotSatisfiable(key, bytes);
  }
  return range;
}
