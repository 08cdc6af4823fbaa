import { createHash } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/core';
import { describeError, type ErrorDescription } from '../core/problems/error-description.js';
import { newId } from '../core/ids.js';

/** `RETRYING` while its work is tried again; `RESOLVED` once that is done, or nobody wants it any more. */
export const FAILED_JOB_STATUSES = ['FAILED', 'RETRYING', 'RESOLVED'] as const;
export type FailedJobStatus = (typeof FAILED_JOB_STATUSES)[number];

const FailedJobSchema = defineEntity({
  name: 'FailedJob',
  tableName: 'failed_jobs',
  comment: 'The dead letter queue: work that used up its attempts on a fault of ours or a vendor',
  properties: {
    id: p.uuid().primary(),
    /** The name of the job. */
    type: p.string().length(100),
    rowId: p.uuid(),
    /** The payload that the queue carried: ids. */
    data: p.json<Record<string, unknown>>(),
    error: p.text(),
    /** Equal for failures of the same cause, whatever paths, ids and numbers their messages hold. */
    fingerprint: p.string().length(16).index(),
    attempts: p.smallint(),
    status: p.enum(FAILED_JOB_STATUSES).default('FAILED'),
    /** How often its work was made due again. */
    retries: p.integer().default(0),
    requestId: p.string().length(100).nullable(),
    createdAt: p.datetime(3),
    /** When its work was given up last. */
    failedAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
  },
  indexes: [
    { properties: ['type', 'rowId'] },
    { properties: ['status', 'failedAt'] },
    { properties: ['failedAt', 'id'] },
  ],
});

/** How work ended when it was given up. */
interface Failure {
  error: unknown;
  attempts: number;
  requestId: string | null;
}

/** What is known when a job is given up. */
interface GivenUp extends Failure {
  type: string;
  rowId: string;
  data: Record<string, unknown>;
}

/**
 * A dead letter: work that used up its attempts. It keeps the first 8,000 characters of the error, with
 * its stack and causes. Equal fingerprints are one cause: the hash of the error's first line without
 * paths of files, ids and numbers.
 */
export class FailedJob extends FailedJobSchema.class {
  constructor({ type, rowId, data, ...failure }: GivenUp) {
    super();
    this.id = newId();
    this.type = type;
    this.rowId = rowId;
    this.data = data;
    this.retries = 0;
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
    this.fail(failure);
  }

  /** Its work is due again. */
  retry(): void {
    if (this.status !== 'FAILED') throw new Error(`Dead letter ${this.id} is ${this.status}`);
    this.status = 'RETRYING';
    this.retries += 1;
  }

  /** Its work was given up, whoever had it tried; the last error is the one that counts. */
  fail({ error, attempts, requestId }: Failure): void {
    this.status = 'FAILED';
    // PostgreSQL cannot store NUL in text.
    this.error = textOf(describeError(error)).replaceAll('\0', '').slice(0, MAX_ERROR_LENGTH);
    this.fingerprint = fingerprintOf(this.error);
    this.attempts = attempts;
    this.requestId = requestId;
    this.failedAt = new Date();
  }

  /** Its work is done, or there is nothing left to do. */
  resolve(): void {
    this.status = 'RESOLVED';
  }
}
FailedJobSchema.setClass(FailedJob);

const MAX_ERROR_LENGTH = 8_000;

/** The stack, which holds the message, and those of its causes. */
function textOf(error: ErrorDescription): string {
  const { message, stack = message, cause } = error;
  return cause ? `${stack}\nCaused by: ${textOf(cause)}` : stack;
}

function fingerprintOf(error: string): string {
  const cause = error.split('\n')[0] ?? '';
  const constant = cause
    // Not the address behind a scheme: its host is part of the cause.
    .replace(/(?<![\w:/.])\/[^\s'"]+/g, '#')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, '#')
    .replace(/\d+/g, '#');
  return createHash('sha256').update(constant).digest('hex').slice(0, 16);
}
