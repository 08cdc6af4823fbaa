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
  payload: z.strictObject({ generationId: z.uuid() }),
  payloadOf: (generationId) => ({ generationId }),
  rowIdOf: ({ generationId }) => generationId,
  // Models that are busy or away are asked again within an attempt, as long as its deadline allows:
  // these are for workers that died, and for faults of ours.
  retry: { attempts: 5, backoffMs: 1 * SECOND_MS, maxBackoffMs: 10 * SECOND_MS },
  // Longer than any deadline, and shorter than files on their way are kept.
  timeoutMs: 280 * SECOND_MS,
});
