import { z } from 'zod';
import { defineJob } from '../queue/job.js';
import { Generation } from './generation.entity.js';

const SECOND_MS = 1_000;

/** Has a model paint the pictures of a generation. */
export const paintPictures = defineJob({
  name: 'picture-generation',
  entity: Generation,
  owner: 'userId',
  perOwner: (env) => env.GENERATION_PER_USER,
  atOnce: (env) => env.GENERATION_CONCURRENCY,
  payload: z.strictObject({ generationId: z.uuid() }),
  payloadOf: (generationId) => ({ generationId }),
  rowIdOf: ({ generationId }) => generationId,
  // Models that are busy or away are asked again within an attempt, as long as its deadline allows:
  // these are for workers that died, and for faults of ours.
  retry: { attempts: 5, backoffMs: 1 * SECOND_MS, maxBackoffMs: 10 * SECOND_MS },
  // Longer than anybody waits for slots (four minutes, see env/generation.ts), than any deadline (four, and
  // one for the last slot), and storing what has come.
  timeoutMs: 600 * SECOND_MS,
});
