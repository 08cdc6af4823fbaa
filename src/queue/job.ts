import type { EntityClass } from '@mikro-orm/core';
import type { z } from 'zod';
import type { Env } from '../core/env.js';
import type { WorkRow } from './work-row.js';

/** How often a row is tried and how long it rests in between. */
export interface RetryPolicy {
  /** How many attempts a row gets in all. */
  readonly attempts: number;
  /** The rest after the first failure, in milliseconds; it doubles with each further one. */
  readonly backoffMs: number;
  /** The longest rest, in milliseconds. */
  readonly maxBackoffMs: number;
}

/** A kind of work: which rows it works on, how they travel through the queue, how they are tried. */
export interface JobDefinition<out Row extends WorkRow = WorkRow> {
  /** The name of the job and of its queue, in kebab-case. */
  readonly name: string;
  readonly entity: EntityClass<Row>;
  /** The entity's property that says whose work a row is, for a fair turn. */
  readonly owner: string;
  /** How many rows of one owner are in the queue or at work at once. Default: `QUEUE_PER_OWNER`. */
  readonly perOwner?: (env: Env) => number;
  /** How many rows of all owners are in the queue or at work at once, in all processes. Default: any. */
  readonly atOnce?: (env: Env) => number;
  /** What the queue carries for a row: ids. */
  payloadOf(rowId: string): Record<string, unknown>;
  /** Checks what the queue carried. @throws ZodError when it is not this job's payload */
  rowIdOf(carried: unknown): string;
  readonly retry: RetryPolicy;
  /** How long one attempt may take, in milliseconds. */
  readonly timeoutMs: number;
}

interface JobOptions<Row extends WorkRow, Payload extends Record<string, unknown>> {
  name: string;
  entity: EntityClass<Row>;
  owner: Extract<keyof Row, string>;
  payload: z.ZodType<Payload>;
  payloadOf: (rowId: string) => Payload;
  rowIdOf: (payload: Payload) => string;
  retry: RetryPolicy;
  timeoutMs: number;
  perOwner?: (env: Env) => number;
  atOnce?: (env: Env) => number;
}

const NAME = /^[a-z]+(-[a-z]+)*$/;

/**
 * Defines a job, with its types held together.
 *
 * @throws Error at import time when the name or a bound makes no sense
 */
export function defineJob<Row extends WorkRow, Payload extends Record<string, unknown>>({
  payload,
  rowIdOf,
  ...definition
}: JobOptions<Row, Payload>): JobDefinition<Row> {
  const { name, retry, timeoutMs } = definition;
  if (!NAME.test(name)) throw new Error(`A job cannot be called ${name}`);
  if (retry.attempts < 1 || retry.backoffMs < 0 || timeoutMs <= 0) {
    throw new Error(`The job ${name} has impossible limits`);
  }
  return Object.freeze({
    ...definition,
    rowIdOf: (carried: unknown) => rowIdOf(payload.parse(carried)),
  });
}

/** The rest before the next attempt, in milliseconds: exponential, with up to a quarter of jitter. */
export function backoff({ backoffMs, maxBackoffMs }: RetryPolicy, attempts: number): number {
  const rest = Math.min(backoffMs * 2 ** Math.max(0, attempts - 1), maxBackoffMs);
  return Math.round(rest * (0.75 + Math.random() * 0.25));
}
