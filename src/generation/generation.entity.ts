import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../auth/users/user.entity.js';
import { newId } from '../core/ids.js';
import { currentRequestId, currentTraceParent } from '../core/request-context.js';
import type { ModelDriver } from '../images/generated/provenance.js';
import {
  dueIn,
  endWork,
  workColumns,
  type WorkError,
  workIndexes,
  type WorkRow,
} from '../queue/work-row.js';
import type { ModelUsage } from './models/image-model.js';
import {
  ASPECT_RATIOS,
  type AspectRatio,
  PICTURE_SIZES,
  type PictureSize,
} from './models/picture-sizes.js';
import { type Style, STYLES } from './models/styles.js';

export const GENERATION_STATUSES = ['PENDING', 'PROCESSING', 'COMPLETED', 'FAILED'] as const;
export type GenerationStatus = (typeof GENERATION_STATUSES)[number];

/** How many seeds there are: from 0, as models take them. */
export const SEEDS = 2 ** 31;

/** The code of what had its time, and brought no picture. */
export const TIMED_OUT = 'timeout';

/** What it ended with whose owner did not want it any more. */
export const CANCELLED = {
  code: 'cancelled',
  detail: 'You have cancelled it. Nothing was charged.',
} as const satisfies WorkError;

const GenerationSchema = defineEntity({
  name: 'Generation',
  tableName: 'generations',
  comment: 'Pictures that models are asked for, and what became of them',
  properties: {
    id: p.uuid().primary(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').deleteRule('cascade'),
    status: p.enum(GENERATION_STATUSES),
    /** The model that is asked. */
    model: p.string().length(100),
    /** What asks it: `local` or `gemini`. */
    driver: p.string().length(16).$type<ModelDriver>(),
    prompt: p.text(),
    aspectRatio: p.enum(ASPECT_RATIOS),
    size: p.enum(PICTURE_SIZES),
    /** Of the first picture; each further one has the next, and 0 comes after the last. */
    seed: p.bigint('number'),
    style: p.enum(STYLES).nullable(),
    /** Without foreign keys: they may be deleted once the model has seen them. */
    sourceImageIds: p.uuid().array(),
    /** How many pictures were asked for. */
    count: p.smallint(),
    /** Coins for each picture that comes. */
    pricePerPicture: p.bigint('number'),
    /** The transfer that holds the coins for all of them. */
    holdId: p.uuid().unique(),
    /** What was paid in the end; null until then. */
    coinsCharged: p.bigint('number').nullable(),
    /** As the model told it, one for each of its answers; refusals may have one, too. */
    usage: p.json<ModelUsage[]>().nullable(),
    /** What the operator pays for it, in millionths of the currency of the prices; null when unknown. */
    costMicros: p.bigint('number').nullable(),
    /** How long it took to make the pictures, in milliseconds. */
    latencyMs: p.integer().nullable(),
    errorCode: p.string().length(100).nullable(),
    errorDetail: p.text().nullable(),
    /** Why the model refused, in its own classes. */
    errorReason: p.string().length(100).nullable(),
    /** Until when models are asked; null before the first time. */
    deadlineAt: p.datetime(3).nullable(),
    /** Grows with each change that clients can see, until it is final. */
    revision: p.integer(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
    finishedAt: p.datetime(3).nullable(),
    ...workColumns,
  },
  indexes: [
    { properties: ['userId', 'createdAt', 'id'] },
    // For the administrators' figures by day.
    { properties: ['createdAt'] },
    {
      name: 'generations_deadline_index',
      expression:
        'create index generations_deadline_index on generations (deadline_at) where next_attempt_at is not null and deadline_at is not null',
    },
    // For what was given up once a worker had begun with it.
    {
      name: 'generations_abandoned_index',
      expression: `create index generations_abandoned_index on generations (user_id, finished_at) where error_code = '${CANCELLED.code}' and attempts > 0`,
    },
    ...workIndexes('generations', 'user_id'),
  ],
  checks: [
    { name: 'generations_count', expression: 'count >= 1 and count <= 4' },
    { name: 'generations_price', expression: 'price_per_picture > 0' },
    {
      name: 'generations_unfinished_is_work',
      expression: `(status in ('PENDING', 'PROCESSING')) = (next_attempt_at is not null)`,
    },
    {
      name: 'generations_final_is_settled',
      expression: `(status in ('COMPLETED', 'FAILED')) = (coins_charged is not null and finished_at is not null)`,
    },
    {
      name: 'generations_failed_costs_nothing',
      expression: `status <> 'FAILED' or (coins_charged = 0 and error_code is not null)`,
    },
    {
      name: 'generations_charged_as_held',
      expression: `coins_charged >= 0 and coins_charged <= price_per_picture * count`,
    },
  ],
});

/** What a new one is made of. */
interface NewGeneration {
  userId: string;
  model: { name: string; driver: ModelDriver };
  prompt: string;
  aspectRatio: AspectRatio;
  size: PictureSize;
  seed: number;
  style: Style | null;
  sourceImageIds: string[];
  count: number;
  pricePerPicture: number;
}

/**
 * What a model was asked for, and the work on it. Its coins are held from the transaction that makes it
 * to the one that ends it; the status changes by these methods alone.
 */
export class Generation extends GenerationSchema.class implements WorkRow {
  constructor({ model, ...asked }: NewGeneration) {
    super();
    this.id = newId();
    Object.assign(this, asked);
    this.model = model.name;
    this.driver = model.driver;
    this.status = 'PENDING';
    this.revision = 1;
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
    this.attempts = 0;
    this.nextAttemptAt = dueIn(0);
    this.requestId = currentRequestId() ?? null;
    this.traceParent = currentTraceParent() ?? null;
  }

  /** Whether nothing more will happen to it. */
  get isFinal(): boolean {
    return this.status === 'COMPLETED' || this.status === 'FAILED';
  }

  get isCancelled(): boolean {
    return this.errorCode === CANCELLED.code;
  }

  /** What is held for all its pictures. */
  get price(): number {
    return this.pricePerPicture * this.count;
  }

  start(): void {
    this.change('PROCESSING');
  }

  /**
   * Ends it with the pictures that came.
   *
   * @param latencyMs how long they took, in milliseconds
   * @returns what they cost, of what is held
   */
  complete(pictures: number, latencyMs: number): number {
    this.change('COMPLETED');
    this.latencyMs = latencyMs;
    return this.end(pictures * this.pricePerPicture);
  }

  /** Ends it without a picture, at no cost: whoever calls it gives the coins back. */
  fail({ code, detail, reason }: WorkError): void {
    this.change('FAILED');
    this.errorCode = code;
    this.errorDetail = detail;
    this.errorReason = reason ?? null;
    this.end(0);
  }

  /** {@link fail} for its owner, whether or not a worker has it: that one's result comes too late. */
  cancel(): void {
    this.fail(CANCELLED);
    endWork(this);
  }

  /** Some of its images are deleted, which clients see, but not all: it goes on with the others. */
  loseImages(): void {
    this.change(this.status);
  }

  /** Its coins were given back, so there is nothing to try again: a new one can be asked for. */
  revive(): void {
    // Nothing.
  }

  private change(to: GenerationStatus): void {
    if (this.isFinal) throw new Error(`Generation ${this.id} is ${this.status} already`);
    this.status = to;
    this.revision += 1;
  }

  private end(coins: number): number {
    this.coinsCharged = coins;
    this.finishedAt = new Date();
    return coins;
  }
}
GenerationSchema.setClass(Generation);
