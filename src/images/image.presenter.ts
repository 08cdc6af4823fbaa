import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Storage } from '../storage/storage.js';
import { type VariantName, VARIANT_NAMES } from './decoding/variants.js';
import type { ImageMetadata } from './image-metadata.js';
import { FILE_MISSING } from './image.entity.js';
import type { FileRow, ImageRow } from './image.queries.js';
import type { ImageAnswer, ImageMetadataAnswer } from './image.schema.js';

const MEBIBYTE = 1024 * 1024;

/** Of a picture that is not there: clients find the fields that they know. */
const UNKNOWN: ImageAnswer['metadata'] = {
  ...{ width: 0, height: 0, size: 0, format: '', mimeType: '', frames: 0, hasAlpha: null },
};

/** A file that everyone can show. */
type ShownFile = FileRow & { name: VariantName };

/** Presents images with links to their files that work in a browser without signing in. */
@Injectable()
export class ImagePresenter {
  constructor(
    private readonly storage: Storage,
    @Inject(ENV) private readonly env: Env,
  ) {}

  present(image: ImageRow): ImageAnswer {
    const variants = this.linkedVariants(image);
    const metadata = presentPicture(image.metadata);
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
      provenance: presentProvenance(image),
      variants,
      placeholder: image.placeholder,
      dominantColor: image.dominantColor,
      error: presentError(image),
      createdAt: image.createdAt,
      updatedAt: image.updatedAt,
    };
  }

  private linkedVariants(image: ImageRow): ImageAnswer['variants'] {
    const files = variantsOf(image);
    const urls = this.linksTo(image, files);
    const variants: ImageAnswer['variants'] = {};
    files.forEach(({ name, width, height, bytes, format }, index) => {
      variants[name] = { url: urls[index] ?? '', width, height, bytes, format };
    });
    return variants;
  }

  /**
   * A public file has one address for each of its versions, which anyone may cache for ever. A
   * private one has an address that works for a while.
   */
  private linksTo({ id, visibility, version }: ImageRow, files: ShownFile[]): readonly string[] {
    if (visibility === 'public') {
      const route = `${this.env.PUBLIC_URL}/api/v1/images/${id}/file`;
      return files.map(({ name }) => `${route}?size=${name}&v=${version}`);
    }
    const keys = files.map(({ storageKey }) => storageKey);
    return this.storage.createSignedUrls(keys, this.env.SIGNED_URL_SECONDS);
  }
}

/** What is known of a picture, without links; sizes are told only when they can be fetched. */
export function presentMetadata(image: ImageRow): ImageMetadataAnswer {
  const variants: ImageMetadataAnswer['variants'] = {};
  for (const { name, width, height, bytes, format } of variantsOf(image)) {
    variants[name] = { width, height, bytes, format };
  }
  return {
    id: image.id,
    status: image.status,
    title: image.title,
    description: image.description,
    ...presentPicture(image.metadata),
    checksum: image.checksum ?? '',
    variants,
    createdAt: image.createdAt,
    updatedAt: image.updatedAt,
  };
}

/** Whether all its files are there: not while it has none, nor when some are lost. */
function isServed({ version, status, errorCode }: ImageRow): boolean {
  return version > 0 && status !== 'FAILED' && errorCode !== FILE_MISSING;
}

/** The sizes that everyone can show, when they are there; AVIF is chosen by `Accept` behind the same links. */
function variantsOf(image: ImageRow): ShownFile[] {
  if (!isServed(image)) return [];
  const shown = image.files.filter(isShown);
  return shown.sort((one, other) => rankOf(one) - rankOf(other));
}

function isShown(file: FileRow): file is ShownFile {
  return file.format === 'webp' && file.name !== 'original';
}

/** Largest first. */
function rankOf({ name }: ShownFile): number {
  return VARIANT_NAMES.indexOf(name);
}

/** What everyone may know of the picture; nothing yet of one that is still to be generated. */
function presentPicture(metadata: ImageMetadata | null): ImageAnswer['metadata'] {
  const { width, height, size, format, mimeType, frames, hasAlpha } = metadata ?? UNKNOWN;
  return { width, height, size, format, mimeType, frames, hasAlpha };
}

/** Field by field: the database orders them as it likes. */
function presentProvenance({ provenance }: ImageRow): ImageAnswer['provenance'] {
  if (!provenance) return null;
  const { model, driver, generatedAt, digitalSourceType } = provenance;
  return { model, driver, generatedAt, digitalSourceType };
}

function presentError({ errorCode, errorDetail }: ImageRow): ImageAnswer['error'] {
  return errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' };
}
