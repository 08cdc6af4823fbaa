import { z } from 'zod';
import { flag } from '../core/flag.js';
import { givenId } from '../core/ids.js';
import { pageOf, pageQuery } from '../core/paging.js';
import { text } from '../core/text.js';
import { CONTAINER_FORMATS } from './containers/container.js';
import type { VariantName } from './decoding/variants.js';
import { MODEL_DRIVERS } from './generated/provenance.js';
import { IMAGE_STATUSES, IMAGE_TYPES, type ImageStatus, VISIBILITIES } from './image.entity.js';
import { FILE_SIZES } from './image-variant.entity.js';

const FORMAT_NAMES = Object.keys(CONTAINER_FORMATS);

/** The names that clients write in their code, and so each a type of its own in the document. */
const imageType = z.enum(IMAGE_TYPES).meta({ id: 'ImageType' });
const imageStatus = z.enum(IMAGE_STATUSES).meta({ id: 'ImageStatus' });
const visibility = z.enum(VISIBILITIES).meta({ id: 'Visibility' });

/** Text or nothing: an empty one is none. */
const optionalText = (max: number) =>
  text({ max })
    .transform((value) => (value === '' ? null : value))
    .nullable();

/** The fields of an upload beside its file. */
export const uploadFieldsSchema = z.strictObject({
  title: optionalText(200).default(null),
  description: optionalText(4_000).default(null),
  visibility: visibility.default('private'),
});

export type UploadFields = z.output<typeof uploadFieldsSchema>;

/** What the document shows of the form: its file, and its fields as they are checked. */
export const uploadFormSchema = uploadFieldsSchema
  .extend({
    image: z.any().meta({
      type: 'string',
      format: 'binary',
      description: 'JPEG, PNG, WebP, GIF, AVIF or HEIC; `file` works too.',
    }),
  })
  .meta({ id: 'ImageUpload' });

export const imageParams = z.strictObject({ id: givenId });

/** The query of an upload; `wait` is read by its own decorator. */
export const uploadQuery = z.object({
  force: flag()
    .default(false)
    .describe('Whether a file that you have uploaded before becomes another image all the same.'),
});

/** What an owner may change of an image. Fields that are left out stay as they are. */
export const imageChangesSchema = z
  .strictObject({
    title: optionalText(200).optional(),
    description: optionalText(4_000).optional(),
    visibility: visibility.optional(),
  })
  .meta({ id: 'ImageChanges' });

export type ImageChanges = z.output<typeof imageChangesSchema>;

/** How a list of images can be sorted; a minus sign is for descending. */
const IMAGE_ORDERS = [
  '-createdAt',
  'createdAt',
  '-updatedAt',
  'updatedAt',
  'title',
  '-title',
  'size',
  '-size',
] as const;

export type ImageOrder = (typeof IMAGE_ORDERS)[number];

export const listQuery = pageQuery({
  type: imageType.optional(),
  status: imageStatus.optional(),
  text: text({ min: 1, max: 100 })
    .optional()
    .describe('Part of the title, the description or the prompt, in any case.'),
  linked: flag().optional().describe('Whether a course or a session uses the image.'),
  sort: z.enum(IMAGE_ORDERS).meta({ id: 'ImageOrder' }).default('-createdAt'),
});

export type ListQuery = z.output<typeof listQuery>;

export const fileQuery = z.object({
  size: z
    .string()
    .default('large')
    .describe(
      `One of ${FILE_SIZES.map((name) => `\`${name}\``).join(', ')}; \`original\` is for the owner alone.`,
    ),
  v: z.coerce
    .number()
    .int()
    .min(0)
    .optional()
    .describe('The version that the link was made for; a public file may then be cached for ever.'),
});

export type FileQuery = z.output<typeof fileQuery>;

const storedVariant = z
  .object({
    url: z
      .url()
      .describe(
        'Of a public image for good; of a private one for 15 minutes, unless the operator chose another time.',
      ),
    width: z.int().min(0),
    height: z.int().min(0),
    bytes: z.int().min(0),
    format: z.string(),
  })
  .meta({ id: 'ImageVariant' });

/** One key for each variant; all of them are missing while the image is being made. */
function perVariant<T extends z.ZodType>(schema: T) {
  const optional = schema.optional();
  return { large: optional, medium: optional, thumbnail: optional } satisfies Record<
    VariantName,
    unknown
  >;
}

/** Why a picture could not be made of a file. */
export const imageError = z
  .object({ code: z.string().describe('The stable name to test for.'), detail: z.string() })
  .meta({ id: 'ImageError' });

const metadataSchema = z
  .object({
    width: z.int().min(0).describe('Of the original, upright, in pixels.'),
    height: z.int().min(0),
    size: z.int().min(0).describe('Of the upload, or of what the model sent, in bytes.'),
    format: z.string().describe(`One of ${FORMAT_NAMES.map((name) => `\`${name}\``).join(', ')}.`),
    mimeType: z.string(),
    frames: z.int().min(0).describe('1 for a still picture.'),
    hasAlpha: z.boolean().nullable().describe('Null until decoded.'),
  })
  .meta({
    id: 'PictureMetadata',
    description: 'Zeros and empty text while the picture is yet to be generated.',
  });

const provenanceSchema = z
  .object({
    model: z.string().describe('Which model made the picture.'),
    driver: z.enum(MODEL_DRIVERS),
    generatedAt: z.iso.datetime(),
    digitalSourceType: z
      .url()
      .nullable()
      .describe("IPTC's digital source type, which all files of the picture carry as XMP, too."),
  })
  .meta({ id: 'ImageProvenance' });

export const imageSchema = z
  .object({
    id: z.uuid(),
    userId: z.uuid(),
    type: imageType,
    status: imageStatus,
    title: z.string().nullable(),
    description: z.string().nullable(),
    prompt: z.string().nullable(),
    visibility,
    storageUrl: z.url().nullable().describe('The largest variant; null as long as there is none.'),
    displayUrl: z.url().nullable().describe('The medium variant; null as long as there is none.'),
    thumbnailUrl: z
      .url()
      .nullable()
      .describe('The smallest variant; null as long as there is none.'),
    metadata: metadataSchema,
    dimensions: z.object({ width: z.int().min(0), height: z.int().min(0) }),
    sizeMb: z.number().describe('As `metadata.size`, in units of 1,048,576 bytes.'),
    ready: z
      .boolean()
      .describe('Whether its files can be fetched: it is COMPLETED, or is being made anew.'),
    coinsUsed: z.int().min(0),
    provenance: provenanceSchema
      .nullable()
      .describe('Of a generated picture, once it is there; null for uploads.'),
    variants: z
      .object(perVariant(storedVariant))
      .describe(
        'All three once COMPLETED, also while they are made anew; before, and once FAILED, none.',
      ),
    placeholder: z.string().nullable().describe('A ThumbHash in base64; null until COMPLETED.'),
    dominantColor: z.string().nullable().describe('`#rrggbb`; null until COMPLETED.'),
    error: imageError
      .nullable()
      .describe(
        'Why it FAILED, until it is COMPLETED again; of a COMPLETED image, why it could not be made anew.',
      ),
    duplicate: z
      .literal(true)
      .optional()
      .describe('In the answer to an upload: you have uploaded this file before.'),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Image' });

export const imagePageSchema = pageOf(imageSchema).meta({ id: 'ImagePage' });

export const imageMetadataSchema = metadataSchema
  .extend({
    id: z.uuid(),
    status: imageStatus,
    title: z.string().nullable(),
    description: z.string().nullable(),
    checksum: z
      .string()
      .describe(
        'SHA-256 of the upload, or of what the model sent, in hex; empty while that is yet to come.',
      ),
    variants: z.object(perVariant(storedVariant.omit({ url: true }))),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'ImageMetadata' });

export type ImageAnswer = z.output<typeof imageSchema>;
export type ImageMetadataAnswer = z.output<typeof imageMetadataSchema>;

const share = z
  .object({
    count: z.int().min(0),
    bytes: z.int().min(0).describe('What the files take in storage.'),
    coins: z.int().min(0).describe('Paid for these.'),
  })
  .meta({ id: 'ImageShare' });

export const imageStatsSchema = share
  .extend({
    coins: z
      .int()
      .describe(
        'Spent on pictures, those that you have deleted among them, without what was refunded.',
      ),
    quotaBytes: z.int().min(0).describe('What the files of your account may take in all.'),
    byType: z.object(each(IMAGE_TYPES, share)),
    byStatus: z.object(each(IMAGE_STATUSES, share)),
  })
  .meta({ id: 'ImageStats' });

export type ImageStats = z.output<typeof imageStatsSchema>;

function each<K extends string, T>(keys: readonly K[], value: T): Record<K, T> {
  return Object.fromEntries(keys.map((key) => [key, value])) as Record<K, T>;
}

/** Whether nothing more will happen to an image by itself. */
export function isFinal({ status }: { status: ImageStatus }): boolean {
  return status === 'COMPLETED' || status === 'FAILED';
}
