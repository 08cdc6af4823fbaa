import { z } from 'zod';
import { documented, MINUTES, SECONDS } from './documented.js';
import { type Misfit, misfitsBy } from './misfits.js';
import { decimalNumber, vendorUrl, visible, whole, wholeNumber } from './values.js';

/** What stands in a path at Google. */
const modelName = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]*$/, 'must be letters, digits, dots, hyphens and underscores');

/** Of one request. */
const MOST_PICTURES = 4;
const MOST_COINS = 1_000_000_000;

/** A table, as JSON. */
const prices = z
  .string()
  .default('[]')
  .transform((value, context): unknown => {
    try {
      return JSON.parse(value);
    } catch {
      context.addIssue({ code: 'custom', message: 'must be JSON' });
      return z.NEVER;
    }
  })
  .pipe(
    z.array(
      z.strictObject({
        model: z.string().optional(),
        size: z.enum(['1K', '2K', '4K']).optional(),
        count: z.int().min(1).max(MOST_PICTURES).optional(),
        coins: z.int().min(1).max(MOST_COINS),
      }),
      'must be a list of rows such as {"size":"4K","coins":250}',
    ),
  )
  .describe('a JSON list');

const price = decimalNumber({ min: 0, max: 1_000_000 }).optional();

export const GEMINI_DEFAULTS = {
  model: 'gemini-nano-banana-2.1',
  baseUrl: 'https://generativelanguage.googleapis.com',
};

export const generationVariables = {
  GEMINI_API_KEY: documented(visible.optional(), {
    help: 'The key for the Gemini API, whose model makes pictures from prompts. Default: the server paints simple ones itself; in production none are made unless ALLOW_SANDBOX says so.',
    example: '<api key>',
  }),
  GEMINI_IMAGE_MODEL: documented(modelName.optional(), {
    help: `The model that is asked; Google retires them often. Default: ${GEMINI_DEFAULTS.model}.`,
    example: GEMINI_DEFAULTS.model,
  }),
  GEMINI_BASE_URL: documented(vendorUrl.optional(), {
    help: `Where the Gemini API is. For tests and for gateways of your own: https, or on this machine. Default: ${GEMINI_DEFAULTS.baseUrl}.`,
    example: GEMINI_DEFAULTS.baseUrl,
  }),
  GEMINI_TIMEOUT_MS: documented(whole(45 * SECONDS, { min: 1 * SECONDS, max: 10 * MINUTES }), {
    help: 'How long one answer of Gemini may take, in milliseconds.',
  }),
  GEMINI_PRICE_INPUT: documented(price, {
    help: 'What Google charges for a million tokens of prompts and source pictures. With all three prices the cost of each picture is recorded, in whatever currency they are in; there are no default prices.',
    example: '1.25',
  }),
  GEMINI_PRICE_TEXT: documented(price, {
    help: 'What it charges for a million tokens that a model writes or thinks.',
    example: '1.25',
  }),
  GEMINI_PRICE_PICTURE: documented(price, {
    help: 'What it charges for a million tokens of pictures that a model makes.',
    example: '1.25',
  }),
  GENERATION_PRICES: documented(prices, {
    help: 'What one picture costs in coins, by model, size and count: the first row that fits. Default, and where none fits: 100.',
    example: '[{"size":"4K","coins":250},{"count":4,"coins":80}]',
  }),
  GENERATION_DEADLINE: documented(whole(60, { min: 1, max: 240 }), {
    help: 'How long a model is asked for the pictures of a request, from when it was first asked, in seconds; what has not come by then is not charged.',
  }),
  GENERATION_PER_USER: documented(whole(2, { min: 1, max: 1_000 }), {
    help: 'How many requests for pictures of one user are worked on at once; the others wait their turn.',
  }),
  GENERATION_CONCURRENCY: documented(whole(4, { min: 1, max: 64 }), {
    help: 'How many requests for pictures all workers together work on at once; each asks for up to four pictures at once.',
  }),
  GENERATION_RATE_PER_MINUTE: documented(
    wholeNumber({ min: MOST_PICTURES, max: 1_000_000 }).optional(),
    {
      help: 'How many pictures all workers together ask of a model in a minute: no fewer than GENERATION_CONCURRENCY. Default: as many as come.',
      example: '60',
    },
  ),
};

const PRICES = ['GEMINI_PRICE_INPUT', 'GEMINI_PRICE_TEXT', 'GEMINI_PRICE_PICTURE'] as const;

/** What belongs to a key that is not there, prices of which some are missing, and a rate that is too low. */
export function generationMisfits(
  env: z.output<z.ZodObject<typeof generationVariables>>,
): Misfit[] {
  const needing = (['GEMINI_IMAGE_MODEL', 'GEMINI_BASE_URL', ...PRICES] as const).filter(
    (name) => env[name] !== undefined,
  );
  const priced = PRICES.filter((name) => env[name] !== undefined);
  const isKeyless = env.GEMINI_API_KEY === undefined;
  const { GENERATION_CONCURRENCY: atOnce, GENERATION_RATE_PER_MINUTE: rate = Infinity } = env;
  return misfitsBy([
    // What is worked on gets its slots within as many minutes as a request may have pictures.
    [rate < atOnce, 'GENERATION_RATE_PER_MINUTE', 'must not be less than GENERATION_CONCURRENCY'],
    [isKeyless && needing.length > 0, 'GEMINI_API_KEY', `is required with ${needing.join(', ')}`],
    ...PRICES.map(
      (name) =>
        [
          !isKeyless && priced.length > 0 && !priced.includes(name),
          name,
          `is required with ${priced.join(', ')}`,
        ] as const,
    ),
  ]);
}
