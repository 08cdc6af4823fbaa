import { Unavailable } from '../../core/problems/unavailable.js';
import { JobRefusal } from '../../queue/job-errors.js';
import { type Bill, NO_BILL } from './image-model.js';

/** Why a model makes no picture, for good. */
export type ModelRefusalCode =
  | 'blocked'
  | 'no-image'
  | 'model-retired'
  | 'bad-output'
  /** A key, an account or a setting is wrong, which clients are not told. */
  | 'unavailable';

/** What was blocked, in words that do not depend on the model. */
export type BlockedReason = 'safety' | 'prohibited' | 'recitation' | 'personal-data' | 'other';

interface RefusalDetails {
  /** Of `blocked` alone. */
  reason?: BlockedReason;
  /** A refusal may cost as much as a picture. */
  bill?: Bill;
}

/** A model's last word on a request: it is not asked again. The message is for clients. */
export class ModelRefusal extends JobRefusal {
  declare readonly code: ModelRefusalCode;
  /** Of `blocked` alone. */
  declare readonly reason: BlockedReason | undefined;
  readonly bill: Bill;

  constructor(
    code: ModelRefusalCode,
    message: string,
    { reason, bill = NO_BILL }: RefusalDetails = {},
  ) {
    super(code, message, { reason });
    this.name = 'ModelRefusal';
    this.bill = bill;
  }
}

/** Why a model makes no picture now. */
export type ModelUnavailableCode = 'rate-limited' | 'unavailable' | 'timeout';

/** A model that may make the picture when it is asked again. The message goes to logs. */
export class ModelUnavailable extends Unavailable {
  declare readonly code: ModelUnavailableCode;

  constructor(
    code: ModelUnavailableCode,
    message: string,
    /** For how long the model wants to be left alone, if it says so, in milliseconds. */
    readonly retryAfterMs?: number,
  ) {
    super(message, code);
    this.name = 'ModelUnavailable';
  }
}
