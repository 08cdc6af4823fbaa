import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Storage } from '../storage/storage.js';
import { type VariantName, VARIANT_NAMES } from './decoding/variants.js';
import { FILE_MISSING } from './image.entity.js';
import type { FileRow, ImageRow } from './image.queries.js';
import type { ImageAnswer, ImageMetadataAnswer } from './image.schema.js';

const MEBIBYTE = 1024 * 1024;

/** Presents images with links to their files that work in a browser without signing in. */
@Injectable()
export class ImagePresenter {
  constructor(
    private readonly storage: Storage,
    @Inject(ENV) private readonly env: Env,
  ) {}

  present(image: ImageRow): ImageAnswer {
    const variants: ImageAnswer['variants'] = {};
    for (const file of variantsOf(image)) {
      variants[file.name] = { url: this.linkTo(image, file), ...shape(file) };
    }
    const { progressive: _, ...metadata } = image.metadata;
    return {
      id: image.id,
      userId: image.userId,
      type: image.type,
      status: image.status,
      title: image.title,
      description: image.description,
      prompt: image.prompt,
      visibility: image.visibility,
      storageUrl: variants.large?.url ?? null,
      displayUrl: variants.medium?.url ?? null,
      thumbnailUrl: variants.thumbnail?.url ?? null,
      metadata,
      dimensions: { width: metadata.width, height: metadata.height },
      sizeMb: Math.round((metadata.size / MEBIBYTE) * 100) / 100,
      ready: isServed(image),
      coinsUsed: image.coinsUsed,
      variants,
      placeholder: image.placeholder,
      dominantColor: image.dominantColor,
      error: presentError(image),
      createdAt: image.createdAt,
      updatedAt: image.updatedAt,
    };
  }

  /**
   * A public file has one address for each of its versions, which anyone may cache for ever. A
   * private one has an address that works for a while.
   */
  private linkTo(image: ImageRow, file: FileRow): string {
    return image.visibility === 'public'
      ? `${this.env.PUBLIC_URL}/api/v1/images/${image.id}/file?size=${file.name}&v=${image.version}`
      : this.storage.createSignedUrl(file.storageKey, this.env.SIGNED_URL_SECONDS);
  }
}

/** What is known of a picture, without links; sizes are told only when they can be fetched. */
export function presentMetadata(image: ImageRow): ImageMetadataAnswer {
  const { progressive: _, ...metadata } = image.metadata;
  return {
    id: image.id,
    status: image.status,
    title: image.title,
    description: image.description,
    ...metadata,
    checksum: image.checksum,
    variants: Object.fromEntries(variantsOf(image).map((file) => [file.name, shape(file)])),
    createdAt: image.createdAt,
    updatedAt: image.updatedAt,
  };
}

/** Whether all its files are there: not while it has none, nor when some are lost. */
function isServed({ version, status, errorCode }: ImageRow): boolean {
  return version > 0 && status !== 'FAILED' && errorCode !== FILE_MISSING;
}

/** The sizes that everyone can show, when they are there; AVIF is chosen by `Accept` behind the same links. */
function variantsOf(image: ImageRow): (FileRow & { name: VariantName })[] {
  if (!isServed(image)) return [];
  return VARIANT_NAMES.flatMap((name) => image.files.find(isShown(name)) ?? []);
}

function isShown<Name extends VariantName>(name: Name) {
  return (file: FileRow): file is FileRow & { name: Name } =>
    file.name === name && file.format === 'webp';
}

function shape({ width, height, bytes, format }: FileRow) {
  return { width, height, bytes, format };
}

function presentError({ errorCode, errorDetail }: ImageRow): ImageAnswer['error'] {
  return errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' };
}
