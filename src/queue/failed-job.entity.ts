import { createHash } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/core';
import { describeError, type ErrorDescription } from '../core/problems/error-description.js';
import { newId } from '../core/ids.js';

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
    /** Equal for failures of the same cause, whatever ids and numbers their messages hold. */
    fingerprint: p.string().length(16).index(),
    attempts: p.smallint(),
    status: p.enum(['FAILED', 'RETRYING', 'RESOLVED'] as const).default('FAILED'),
    requestId: p.string().length(100).nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
  },
  indexes: [{ properties: ['type', 'rowId'] }, { properties: ['status', 'createdAt'] }],
});

/** What is known when a job is given up. */
interface GivenUp {
  type: string;
  rowId: string;
  data: Record<string, unknown>;
  error: unknown;
  attempts: number;
  requestId: string | null;
}

/**
 * A dead letter: work that used up its attempts. It keeps the first 8,000 characters of the error, with
 * its stack and causes. Equal fingerprints are one cause: the hash of the error's first line without
 * ids and numbers.
 */
export class FailedJob extends FailedJobSchema.class {
  constructor({ type, rowId, data, error, attempts, requestId }: GivenUp) {
    super();
    this.id = newId();
    this.type = type;
    this.rowId = rowId;
    this.data = data;
    // PostgreSQL cannot store NUL in text.
    this.error = textOf(describeError(error)).replaceAll('\0', '').slice(0, MAX_ERROR_LENGTH);
    this.fingerprint = fingerprintOf(this.error);
    this.attempts = attempts;
    this.status = 'FAILED';
    this.requestId = requestId;
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
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
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, '#')
    .replace(/\d+/g, '#');
  return createHash('sha256').update(constant).digest('hex').slice(0, 16);
}
