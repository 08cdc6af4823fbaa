import type { CANCELLED } from './generation.entity.js';
import type { ModelRefusalCode, ModelUnavailableCode } from './models/model-errors.js';

/** The codes that generations, and the images that they make, end with. */
export type GenerationErrorCode =
  | ModelRefusalCode
  | ModelUnavailableCode
  | typeof CANCELLED.code
  | 'source-missing'
  /** That of the queue, for faults of ours. */
  | 'internal-error';

/** What each code means to clients. docs/generation.md has them, too. */
export const GENERATION_ERRORS: Readonly<Record<GenerationErrorCode, string>> = {
  blocked: 'the prompt or the picture is not allowed, for `reason`',
  'no-image': 'the model answered without a picture',
  'model-retired': 'the model is not offered any more',
  'bad-output': 'what the model sent is no sound picture',
  'rate-limited': 'the model had too much to do until the deadline',
  unavailable: 'the model could not be asked',
  timeout: 'the model took too long',
  'source-missing': 'an image that it was to be made from is gone',
  cancelled: 'its owner did not want it any more',
  'internal-error': 'a fault of the server, which its operator knows of',
};

/** All of them, as the document of the API tells them. */
export const GENERATION_ERROR_LIST = Object.entries(GENERATION_ERRORS)
  .map(([code, meaning]) => `\`${code}\` (${meaning})`)
  .join(', ');
