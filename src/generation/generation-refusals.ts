import { JobRefusal } from '../queue/job-errors.js';
import type { WorkError } from '../queue/work-row.js';
import { CANCELLED, TIMED_OUT } from './generation.entity.js';
import type { ModelUnavailableCode } from './models/model-errors.js';

/** What clients are told, of one picture or of all; what the model said is for logs. */
const DETAILS: Record<ModelUnavailableCode, string> = {
  'rate-limited':
    'The model had too much to do; try again later. What does not come is not charged.',
  unavailable: 'The model could not be asked; try again later. What does not come is not charged.',
  [TIMED_OUT]: 'The model took too long; try again later. What does not come is not charged.',
};

/** How pictures end whose model is busy or away for as long as there is time. */
export function refusalFor(code: ModelUnavailableCode, cause?: Error): JobRefusal {
  return new JobRefusal(code, DETAILS[code], { cause });
}

/** How pictures end that had their time. */
export function timedOut(): JobRefusal {
  return refusalFor(TIMED_OUT);
}

/** How pictures end whose images were deleted. */
export function nobodyWaits(): JobRefusal {
  return new JobRefusal(CANCELLED.code, CANCELLED.detail);
}

/** How a generation ends that brought no picture: as the first of those that somebody still wants. */
export class NoPictures extends JobRefusal {
  constructor(
    refused: readonly { refusal: JobRefusal }[],
    /** What became of each image, by its id. */
    readonly errors: ReadonlyMap<string, WorkError>,
  ) {
    const reasons = refused.map(({ refusal }) => refusal);
    const wanted = reasons.find(({ code }) => code !== CANCELLED.code);
    const { code, message, reason } = wanted ?? nobodyWaits();
    super(code, message, { reason });
  }
}
