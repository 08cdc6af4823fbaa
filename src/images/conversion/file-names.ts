import { createHmac, type KeyObject } from 'node:crypto';
import type { Env } from '../../core/env.js';
import { purposeKey } from '../../core/purpose-key.js';
import { CONTAINER_FORMATS, type FormatName } from '../containers/container.js';
import type { FileSize } from '../image-variant.entity.js';

/** Names the purpose, so that no other use of APP_SECRET can yield the same key. */
const KEY_PURPOSE = 'atelier file names v1';

/** 128 bits, in hex. */
const TOKEN_LENGTH = 32;

/** A file among those of all versions of an image. */
interface NamedFile {
  imageId: string;
  name: FileSize;
  version: number;
  format: FormatName;
}

/**
 * Names the files of images: `large-2-<token>.webp`.
 *
 * Where anyone may read the bucket (S3_PUBLIC_BASE_URL), a key is all that protects its file. The
 * token is an HMAC-SHA256 over the whole name, so that neither the id of an image nor the address of
 * one of its files leads to another: to its original, or to what it became after it was private
 * again. Names of before a new APP_SECRET stay as they are, since rows hold them.
 */
export class FileNames {
  private readonly secret: KeyObject;

  constructor({ APP_SECRET }: Pick<Env, 'APP_SECRET'>) {
    this.secret = purposeKey(APP_SECRET, KEY_PURPOSE);
  }

  /** The same each time; no two files have the same. */
  nameOf({ imageId, name, version, format }: NamedFile): string {
    const text = JSON.stringify([imageId, name, version, format]);
    const token = createHmac('sha256', this.secret).update(text).digest('hex');
    const { extension } = CONTAINER_FORMATS[format];
    return `${name}-${version}-${token.slice(0, TOKEN_LENGTH)}.${extension}`;
  }
}
