import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  type MultipartUpload,
  type S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { Env } from '../../core/env.js';
import { describeAnswer, headOf, nextPlace, rangeHeader } from './s3-answers.js';
import { createS3Client, requireBucket, type S3Settings, StoreFault, within } from './s3-client.js';
import { S3ObjectStream } from './s3-object-stream.js';
import { S3Uploads } from './s3-upload.js';
import { assertLifetime, type FileUrlSigner } from '../signed-url.js';
import {
  type AskedRange,
  type DirectUrlOptions,
  type ListedObject,
  type ObjectHead,
  ObjectNotFound,
  RangeNotSatisfiable,
  resolveRange,
  Storage,
  type StoredFile,
  type StoredObject,
  type UploadOptions,
} from '../storage.js';
import {
  assertFolder,
  assertStorageKey,
  contentTypeOf,
  FOLDERS,
  imagePrefix,
  IMAGES_FOLDER,
  inlineAs,
  isStorageKey,
} from '../storage-key.js';

/** How long calls may take that carry no file, or only the head of one. */
const CALL_MS = 10_000;
/** Readiness gives its checks two seconds. */
const CHECK_MS = 1_800;

export type S3StorageSettings = S3Settings &
  Pick<Env, 'DATA_DIR' | 'S3_PUBLIC_BASE_URL' | 'STORAGE_REDIRECT' | 'UPLOAD_MEMORY_MB'>;

/**
 * Files in a bucket of an S3-compatible store, for any number of machines.
 *
 * The bucket is private; clients get its files through the API, or with STORAGE_REDIRECT by signed
 * addresses of the store. With S3_PUBLIC_BASE_URL, too, the files of public images come from there;
 * who has no key finds nothing. What is not one of our keys is not seen. A fault of the store, or of the
 * way to it, is Unavailable. One that comes while the last bytes of an upload are acknowledged
 * leaves open whether the object is there.
 */
export class S3Storage extends Storage implements OnApplicationShutdown {
  override readonly driver = 's3';
  override readonly servesPublicFiles: boolean;
  private readonly client: S3Client;
  private readonly uploads: S3Uploads;
  private readonly bucket: string;
  private readonly publicBaseUrl: string | undefined;
  private readonly isDirect: boolean;

  constructor(
    env: S3StorageSettings & { S3_BUCKET: string },
    private readonly urls: FileUrlSigner,
  ) {
    super();
    this.client = createS3Client(env);
    this.uploads = new S3Uploads(this.client, env);
    this.bucket = env.S3_BUCKET;
    this.publicBaseUrl = env.S3_PUBLIC_BASE_URL;
    this.isDirect = env.STORAGE_REDIRECT;
    this.servesPublicFiles = this.isDirect && this.publicBaseUrl !== undefined;
  }

  onApplicationShutdown(): void {
    this.client.destroy();
  }

  override async upload(
    key: string,
    stream: Readable,
    options: UploadOptions = {},
  ): Promise<StoredFile> {
    // An error that comes before anyone listens would end the process.
    stream.on('error', () => undefined);
    try {
      assertStorageKey(key);
      const contentType = options.contentType ?? contentTypeOf(key);
      const bytes = await this.uploads.send({
        ...this.place(key),
        stream,
        contentType,
        signal: options.signal,
      });
      return { key, bytes };
    } finally {
      stream.destroy();
    }
  }

  override async get(key: string, { range }: { range?: AskedRange } = {}): Promise<StoredObject> {
    assertStorageKey(key);
    const header = range && rangeHeader(range);
    if (range && header === undefined) throw await this.refusal(key, range);
    const answer = await this.open(key, { Range: header }).catch(async (error: unknown) => {
      throw range && hasStatus(error, 416) ? await this.refusal(key, range) : error;
    });
    const { body, etag, ...object } = describeAnswer(key, answer, range);
    const carried = object.range ?? { start: 0, end: object.bytes - 1 };
    const stream = new S3ObjectStream(body, carried, async (rest, signal) => {
      const again = await this.open(key, { Range: rangeHeader(rest), IfMatch: etag }, signal);
      return describeAnswer(key, again, rest).body;
    });
    return { ...object, stream };
  }

  override async head(key: string): Promise<ObjectHead> {
    assertStorageKey(key);
    const command = new HeadObjectCommand(this.place(key));
    const { ContentLength, ContentType, LastModified } = await this.call((abortSignal) =>
      this.client.send(command, { abortSignal }),
    ).catch(async (error: unknown) => {
      if (!hasStatus(error, 404)) throw error;
      // There was no body that could tell a missing bucket, which is a fault, from a missing object.
      await requireBucket(this.client, this.bucket, CALL_MS);
      throw new ObjectNotFound(key);
    });
    return headOf(key, ContentLength, ContentType, LastModified);
  }

  override async delete(key: string): Promise<void> {
    assertStorageKey(key);
    const command = new DeleteObjectCommand(this.place(key));
    await this.call((abortSignal) => this.client.send(command, { abortSignal }));
  }

  override list(userId: string, prefix?: string): AsyncGenerator<ListedObject> {
    return this.listFrom(() => imagePrefix(userId, prefix));
  }

  override listAll(): AsyncGenerator<ListedObject> {
    return this.listFolder(`${IMAGES_FOLDER}/`);
  }

  override listFolder(folder: string): AsyncGenerator<ListedObject> {
    return this.listFrom(() => {
      assertFolder(folder);
      return folder;
    });
  }

  /** That of the bucket, when anyone may read it; else the API's own, signed without an end. */
  override getPublicUrl(key: string): string {
    assertStorageKey(key);
    return this.publicBaseUrl === undefined
      ? this.urls.url(key, 'never')
      : `${this.publicBaseUrl}/${key}`;
  }

  /** The API's own: it works where the store is out of reach, and costs no SDK. */
  override createSignedUrls(keys: readonly string[], seconds: number): readonly string[] {
    return this.urls.urlsFor(keys, seconds);
  }

  override async createDirectUrl(
    key: string,
    { method, from, seconds, cacheControl, fileName }: DirectUrlOptions,
  ): Promise<string | undefined> {
    assertStorageKey(key);
    assertLifetime(seconds);
    if (!this.isDirect) return undefined;
    const Command = method === 'HEAD' ? HeadObjectCommand : GetObjectCommand;
    const command = new Command({
      ...this.place(key),
      ResponseContentType: contentTypeOf(key),
      ResponseCacheControl: cacheControl,
      ResponseContentDisposition: inlineAs(fileName),
    });
    return this.call(() =>
      getSignedUrl(this.client, command, { expiresIn: seconds, signingDate: from }),
    );
  }

  /** By when they began: no upload goes on for so long. */
  override async removeUnfinished(olderThanMs: number): Promise<number> {
    let removed = 0;
    for (const folder of FOLDERS) {
      for await (const { Key, UploadId, Initiated } of this.unfinished(`${folder}/`)) {
        const isOld = Initiated !== undefined && Date.now() - Initiated.getTime() > olderThanMs;
        const isOurs = Key !== undefined && isStorageKey(Key);
        if (isOld && isOurs && (await this.abort(Key, UploadId))) removed += 1;
      }
    }
    return removed;
  }

  override async check(): Promise<void> {
    await requireBucket(this.client, this.bucket, CHECK_MS);
  }

  private place(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.bucket, Key: key };
  }

  private call<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return within(CALL_MS, work, signal);
  }

  private open(
    key: string,
    how: { Range?: string | undefined; IfMatch?: string | undefined },
    signal?: AbortSignal,
  ): Promise<GetObjectCommandOutput> {
    const command = new GetObjectCommand({ ...this.place(key), ...how });
    return this.call((abortSignal) => this.client.send(command, { abortSignal }), signal).catch(
      (error: unknown) => {
        // A missing bucket is 404 as well, and a fault; so is a store that fails, whatever it calls that.
        const isMissing = hasStatus(error, 404) && error.code === 'NoSuchKey';
        throw isMissing ? new ObjectNotFound(key) : error;
      },
    );
  }

  /** Why there is no such range: only the size of the object tells. */
  private async refusal(key: string, range: AskedRange): Promise<Error> {
    const { bytes } = await this.head(key);
    try {
      resolveRange(key, bytes, range);
    } catch (error) {
      return error as Error;
    }
    // It was replaced by a longer one in between.
    return new RangeNotSatisfiable(key, bytes);
  }

  /** @param prefixOf is asked when the list is read, and may refuse */
  private async *listFrom(prefixOf: () => string): AsyncGenerator<ListedObject> {
    const Prefix = prefixOf();
    let from: { ContinuationToken?: string | undefined } | undefined = {};
    while (from) {
      const command = new ListObjectsV2Command({ Bucket: this.bucket, Prefix, ...from });
      const page: ListObjectsV2CommandOutput = await this.call((abortSignal) =>
        this.client.send(command, { abortSignal }),
      );
      for (const { Key = '', Size: bytes = 0, LastModified } of page.Contents ?? []) {
        if (LastModified && isStorageKey(Key))
          yield { key: Key, bytes, lastModified: LastModified };
      }
      from = nextPlace(page.IsTruncated, { ContinuationToken: page.NextContinuationToken }, from);
    }
  }

  /** Only below the prefix: others may use the bucket, too. */
  private async *unfinished(prefix: string): AsyncGenerator<MultipartUpload> {
    let from: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined =
      {};
    while (from) {
      const place = { Bucket: this.bucket, Prefix: prefix, ...from };
      const command = new ListMultipartUploadsCommand(place);
      const page: ListMultipartUploadsCommandOutput = await this.call((abortSignal) =>
        this.client.send(command, { abortSignal }),
      );
      yield* page.Uploads ?? [];
      const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
      from = nextPlace(page.IsTruncated, { KeyMarker, UploadIdMarker }, from);
    }
  }

  /** @returns false when it has ended meanwhile */
  private async abort(key: string, UploadId: string | undefined): Promise<boolean> {
    const command = new AbortMultipartUploadCommand({ ...this.place(key), UploadId });
    try {
      await this.call((abortSignal) => this.client.send(command, { abortSignal }));
      return true;
    } catch (error) {
      if (hasStatus(error, 404)) return false;
      throw error;
    }
  }
}

function hasStatus(error: unknown, status: number): error is StoreFault {
  return error instanceof StoreFault && error.status === status;
}
