import { z } from 'zod';
import { givenId } from '../core/ids.js';
import { pageOf, pageQuery } from '../core/paging.js';
import { lineOfText, text } from '../core/text.js';
import { imageSchema } from '../images/image.schema.js';
import { GENERATION_ERROR_LIST } from './generation-errors.js';
import {
  GENERATION_STATUSES,
  type Generation,
  type GenerationStatus,
  SEEDS,
} from './generation.entity.js';
import { ASPECT_RATIOS, PICTURE_SIZES } from './models/picture-sizes.js';
import { STYLES } from './models/styles.js';

/** The most pictures of one request. */
export const MAX_PICTURES = 4;
/** The most pictures that a model is shown. */
const MAX_SOURCES = 3;

const generationStatus = z.enum(GENERATION_STATUSES).meta({ id: 'GenerationStatus' });

export const generateSchema = z
  .strictObject({
    prompt: lineOfText({ min: 1, max: 4_000 }).describe('What to paint, in your words.'),
    title: lineOfText({ min: 1, max: 200 }).optional().describe('Of the images.'),
    description: text({ min: 1, max: 4_000 }).optional().describe('Of the images.'),
    aspectRatio: z.enum(ASPECT_RATIOS).default('1:1').describe('Width to height.'),
    size: z.enum(PICTURE_SIZES).default('1K').describe('About how long the longer side is.'),
    seed: z
      .int()
      .min(0)
      .max(SEEDS - 1)
      .optional()
      .describe('The same seed makes much the same picture. Default: any.'),
    style: z.enum(STYLES).optional().describe('How it is painted. Default: as the prompt says.'),
    sourceImageIds: z
      .array(givenId)
      .max(MAX_SOURCES)
      .refine((ids) => new Set(ids).size === ids.length, 'must not name an image twice')
      .default([])
      .describe('COMPLETED images of yours that it is made from.'),
    count: z.int().min(1).max(MAX_PICTURES).default(1).describe('How many pictures.'),
  })
  .meta({ id: 'Generate' });

export type Generate = z.output<typeof generateSchema>;

export const generationParams = z.object({ id: givenId });

export const generationQuery = pageQuery({ status: generationStatus.optional() });

export type GenerationQuery = z.output<typeof generationQuery>;

export const generationSchema = z
  .object({
    id: z.uuid(),
    status: generationStatus,
    position: z
      .int()
      .min(1)
      .nullable()
      .describe(
        'Its place in the line, a second ago at most: 1 is next. Null once a worker has begun with it.',
      ),
    attempts: z.int().min(0).describe('How often a worker has begun with it.'),
    model: z.object({ name: z.string(), driver: z.string() }).describe('What paints the pictures.'),
    prompt: z.string(),
    aspectRatio: z.enum(ASPECT_RATIOS),
    size: z.enum(PICTURE_SIZES),
    seed: z.int().describe('Of the first picture; each further one has the next.'),
    style: z.enum(STYLES).nullable(),
    sourceImageIds: z.array(z.uuid()),
    count: z.int().min(1).max(MAX_PICTURES),
    imageIds: z
      .array(z.uuid())
      .describe(
        'The images that it makes, but for those that you deleted. Each shows what became of it.',
      ),
    coins: z
      .object({
        held: z.int().min(0).describe('Set aside until it is final.'),
        charged: z.int().min(0).describe('Paid for the pictures that came.'),
        returned: z.int().min(0).describe('Held, and free again.'),
      })
      .meta({ id: 'GenerationCoins' }),
    error: z
      .object({
        code: z.string().describe(`The stable name to test for: ${GENERATION_ERROR_LIST}.`),
        detail: z.string(),
        reason: z.string().optional().describe('Why the model refused, in its own classes.'),
      })
      .meta({ id: 'GenerationError' })
      .nullable()
      .describe('Why no picture came.'),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Generation' });

export const generationPageSchema = pageOf(generationSchema).meta({ id: 'GenerationPage' });

/** What a request for pictures is answered. */
export const generatedSchema = z
  .object({
    image: imageSchema.describe('The first of the images.'),
    images: z.array(imageSchema),
    generation: generationSchema,
  })
  .meta({ id: 'Generated' });

export type GenerationAnswer = z.output<typeof generationSchema>;
export type GeneratedAnswer = z.output<typeof generatedSchema>;

/** What a {@link Generation} does not know of itself. */
interface Surroundings {
  imageIds: string[];
  position: number | null;
}

/** A generation as its owner sees it. */
export function presentGeneration(
  row: Generation,
  { imageIds, position }: Surroundings,
): GenerationAnswer {
  return {
    id: row.id,
    status: row.status,
    position,
    attempts: row.attempts,
    model: { name: row.model, driver: row.driver },
    prompt: row.prompt,
    aspectRatio: row.aspectRatio,
    size: row.size,
    seed: row.seed,
    style: row.style ?? null,
    sourceImageIds: row.sourceImageIds,
    count: row.count,
    imageIds,
    coins: presentCoins(row),
    error: presentError(row),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
  };
}

function presentCoins({ price, coinsCharged }: Generation): GenerationAnswer['coins'] {
  if (coinsCharged == null) return { held: price, charged: 0, returned: 0 };
  return { held: 0, charged: coinsCharged, returned: price - coinsCharged };
}

function presentError({ errorCode, errorDetail, errorReason }: Generation) {
  if (errorCode == null) return null;
  const error = { code: errorCode, detail: errorDetail ?? '' };
  return errorReason == null ? error : { ...error, reason: errorReason };
}

/** Whether nothing more will happen. */
export function isOver({ status }: { status: GenerationStatus }): boolean {
  return status === 'COMPLETED' || status === 'FAILED';
}
