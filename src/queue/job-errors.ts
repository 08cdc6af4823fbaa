import type { WorkError } from './work-row.js';

/** An expected end without success: the row fails with this code, and nobody is alarmed. */
export class JobRefusal extends Error {
  /** The class of the reason, where a vendor tells one. */
  readonly reason: string | undefined;

  constructor(
    readonly code: string,
    message: string,
    { reason, ...options }: ErrorOptions & { reason?: string | undefined } = {},
  ) {
    super(message, options);
    this.name = 'JobRefusal';
    this.reason = reason;
  }

  /** What the row says then. */
  asError(): WorkError {
    return { code: this.code, detail: this.message, reason: this.reason };
  }
}

/** An attempt had its time, and counts as failed. */
export class JobTimedOut extends Error {
  constructor(milliseconds: number) {
    super(`The attempt took longer than ${milliseconds} ms`);
    this.name = 'JobTimedOut';
  }
}

/** The process must stop before the work is done. */
export class JobInterrupted extends Error {
  constructor() {
    super('The worker is shutting down');
    this.name = 'JobInterrupted';
  }
}
