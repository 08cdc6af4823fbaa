import { z } from 'zod';
import { defineJob } from '../../queue/job.js';
import { Image } from '../image.entity.js';

/** Makes the variants of an uploaded image. */
export const convertImage = defineJob({
  name: 'image-conversion',
  entity: Image,
  owner: 'userId',
  payload: z.strictObject({ imageId: z.uuid() }),
  payloadOf: (imageId) => ({ imageId }),
  rowIdOf: ({ imageId }) => imageId,
  retry: { attempts: 5, backoffMs: 2_000, maxBackoffMs: 60_000 },
  timeoutMs: 120_000,
});
