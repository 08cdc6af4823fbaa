import { z } from 'zod';
import { pageOf, pageQuery } from '../core/paging.js';
import { text } from '../core/text.js';
import { VARIANT_NAMES, type VariantName } from './decoding/variants.js';
import {
  IMAGE_STATUSES,
  IMAGE_TYPES,
  type ImageMetadata,
  type ImageStatus,
  type ImageType,
  VISIBILITIES,
  type Visibility,
} from './image.entity.js';

const optionalText = (max: number) =>
  text({ max })
    .transform((value) => (value === '' ? null : value))
    .nullable()
    .default(null);

/** The fields of an upload beside its file. */
export const uploadFieldsSchema = z
  .strictObject({
    title: optionalText(200),
    description: optionalText(4_000),
    visibility: z.enum(VISIBILITIES).default('private'),
  })
  .meta({ id: 'ImageUpload' });

export type UploadFields = z.output<typeof uploadFieldsSchema>;

export const imageParams = z.strictObject({ id: z.uuid() });

export const listQuery = pageQuery({
  type: z.enum(IMAGE_TYPES).optional(),
  status: z.enum(IMAGE_STATUSES).optional(),
});

export type ListQuery = z.output<typeof listQuery>;

export const fileQuery = z.object({
  size: z
    .string()
    .default('large')
    .describe(`One of ${VARIANT_NAMES.map((name) => `\`${name}\``).join(', ')}.`),
});

const storedVariant = z.object({
  url: z.url().describe('Valid for 15 minutes, unless the operator chose another time.'),
  width: z.int(),
  height: z.int(),
  bytes: z.int(),
  format: z.string(),
});

/** One key for each variant; all of them are missing while the image is being made. */
function perVariant<T extends z.ZodType>(schema: T) {
  const optional = schema.optional();
  return { large: optional, medium: optional, thumbnail: optional } satisfies Record<
    VariantName,
    unknown
  >;
}

const metadataSchema = z.object({
  width: z.int().nullable().describe('Of the original, upright, in pixels; null until decoded.'),
  height: z.int().nullable(),
  size: z.int().describe('Of the original, in bytes.'),
  format: z.string().describe('`jpeg`, `png` or `webp`.'),
  mimeType: z.string(),
});

export const imageSchema = z
  .object({
    id: z.uuid(),
    userId: z.uuid(),
    type: z.enum(IMAGE_TYPES),
    status: z.enum(IMAGE_STATUSES),
    title: z.string().nullable(),
    description: z.string().nullable(),
    prompt: z.string().nullable(),
    visibility: z.enum(VISIBILITIES),
    storageUrl: z.url().nullable().describe('The largest variant; null until COMPLETED.'),
    displayUrl: z.url().nullable().describe('The medium variant; null until COMPLETED.'),
    thumbnailUrl: z.url().nullable().describe('The smallest variant; null until COMPLETED.'),
    metadata: metadataSchema,
    dimensions: z.object({ width: z.int().nullable(), height: z.int().nullable() }),
    sizeMb: z.number().describe('Of the original, in units of 1,048,576 bytes.'),
    ready: z.boolean().describe('Whether the status is COMPLETED.'),
    coinsUsed: z.number(),
    variants: z.object(perVariant(storedVariant)).describe('All three once COMPLETED, else none.'),
    placeholder: z.string().nullable(),
    dominantColor: z.string().nullable(),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Image' });

export const imagePageSchema = pageOf(imageSchema).meta({ id: 'ImagePage' });

export const imageMetadataSchema = metadataSchema
  .extend({
    id: z.uuid(),
    status: z.enum(IMAGE_STATUSES),
    title: z.string().nullable(),
    description: z.string().nullable(),
    checksum: z.string().describe('SHA-256 of the upload, in hex.'),
    variants: z.object(perVariant(storedVariant.omit({ url: true }))),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'ImageMetadata' });

export type ImageAnswer = z.output<typeof imageSchema>;
export type ImageMetadataAnswer = z.output<typeof imageMetadataSchema>;

/** A variant as it is read for presenting. */
export interface VariantRow {
  name: VariantName;
  storageKey: string;
  width: number;
  height: number;
  bytes: number;
  format: string;
}

/** An image as it is read for presenting, with its variants. */
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
  metadata: ImageMetadata;
  coinsUsed: number;
  checksum: string;
  placeholder: string | null;
  errorCode: string | null;
  errorDetail: string | null;
  /** ISO 8601 in UTC. */
  createdAt: string;
  updatedAt: string;
  variants: VariantRow[];
}

const MEBIBYTE = 1024 * 1024;

/**
 * @param linkTo an address that serves a stored object to whoever holds it
 */
export async function presentImage(
  image: ImageRow,
  linkTo: (key: string) => string | Promise<string>,
): Promise<ImageAnswer> {
  const variants = Object.fromEntries(
    await Promise.all(
      image.variants.map(async ({ name, storageKey, ...size }) => [
        name,
        { url: await linkTo(storageKey), ...size },
      ]),
    ),
  ) as ImageAnswer['variants'];
  const { width, height, size } = image.metadata;
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
    metadata: image.metadata,
    dimensions: { width, height },
    sizeMb: Math.round((size / MEBIBYTE) * 100) / 100,
    ready: image.status === 'COMPLETED',
    coinsUsed: image.coinsUsed,
    variants,
    placeholder: image.placeholder,
    dominantColor: null,
    error: presentError(image),
    createdAt: image.createdAt,
    updatedAt: image.updatedAt,
  };
}

export function presentMetadata(image: ImageRow): ImageMetadataAnswer {
  return {
    id: image.id,
    status: image.status,
    title: image.title,
    description: image.description,
    ...image.metadata,
    checksum: image.checksum,
    variants: Object.fromEntries(
      image.variants.map(({ name, storageKey: _, ...size }) => [name, size]),
    ),
    createdAt: image.createdAt,
    updatedAt: image.updatedAt,
  };
}

function presentError({ errorCode, errorDetail }: ImageRow): ImageAnswer['error'] {
  return errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' };
}
