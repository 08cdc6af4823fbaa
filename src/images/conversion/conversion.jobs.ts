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
  // A disk that is full or away may be so for a while: the last attempt comes after 17 minutes.
  retry: { attempts: 10, backoffMs: 2_000, maxBackoffMs: 600_000 },
  timeoutMs: 120_000,
});
