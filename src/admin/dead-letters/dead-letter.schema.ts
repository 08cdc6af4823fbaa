import { z } from 'zod';
import { givenId } from '../../core/ids.js';
import { pageOf, pageQuery, timeBound } from '../../core/paging.js';
import { text } from '../../core/text.js';
import { FAILED_JOB_STATUSES } from '../../queue/failed-job.entity.js';

const status = z.enum(FAILED_JOB_STATUSES).meta({ id: 'FailedJobStatus' });

/** What dead letters can be chosen by; what is absent limits nothing. */
const filters = {
  type: text({ min: 1, max: 100 }).optional().describe('The kind of job.'),
  status: status.optional(),
  fingerprint: text({ min: 1, max: 16 }).optional().describe('Of one cause.'),
  from: timeBound.optional().describe('The earliest time of the last failure, itself included.'),
  to: timeBound.optional().describe('The end of that time, itself not included.'),
  text: text({ min: 1, max: 200 })
    .optional()
    .describe('Part of the data or of the error, in any case; ids are found by this, too.'),
} as const;

const filterSchema = z.strictObject(filters);

export type DeadLetterFilter = z.output<typeof filterSchema>;

export const deadLetterQuery = pageQuery(filters);

export type DeadLetterQuery = z.output<typeof deadLetterQuery>;

export const deadLetterParams = z.strictObject({ id: givenId });

export const failedJobSchema = z
  .object({
    id: z.uuid(),
    type: z.string().describe('The kind of job.'),
    rowId: z.uuid().describe('The row that the work is about, such as an image.'),
    data: z.record(z.string(), z.unknown()).describe('What the job carried: ids.'),
    error: z.string().describe('The last error, with its stack and its causes.'),
    fingerprint: z.string().describe('Equal for errors of the same cause.'),
    attempts: z.int().min(0).describe('How many attempts were made before it was given up last.'),
    retries: z.int().min(0).describe('How often its work was made due again.'),
    status: status.describe(
      'RETRYING until the work is done, and then RESOLVED, or given up, and then FAILED again. ' +
        'RESOLVED also when there is nothing left to do, because the row is gone.',
    ),
    requestId: z.string().nullable().describe('The request that asked for the work.'),
    createdAt: z.iso.datetime().describe('When the work was given up first.'),
    failedAt: z.iso.datetime().describe('When the work was given up last.'),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'FailedJob' });

export const failedJobPageSchema = pageOf(failedJobSchema).meta({ id: 'FailedJobPage' });

export type FailedJobAnswer = z.output<typeof failedJobSchema>;

const groupSchema = z
  .object({
    type: z.string(),
    fingerprint: z.string(),
    count: z.int().min(1),
    firstAt: z.iso.datetime().describe('When work of the group was given up first.'),
    lastAt: z.iso.datetime().describe('When work of the group was given up last.'),
    sampleId: z.uuid().describe('The dead letter of that.'),
    error: z.string().describe('The first line of its error.'),
  })
  .meta({ id: 'FailedJobGroup' });

export const groupPageSchema = pageOf(groupSchema).meta({ id: 'FailedJobGroupPage' });

export type FailedJobGroup = z.output<typeof groupSchema>;

/** Many dead letters at once. To mean all of them takes a word of its own: a filter may get lost. */
export const selectionSchema = z
  .strictObject({
    filter: filterSchema.default({}),
    all: z.literal(true).optional().describe('In the place of a filter: every dead letter.'),
    dryRun: z.boolean().default(false).describe('Whether they are only counted.'),
  })
  .refine(({ filter, all }) => isEmpty(filter) === (all ?? false), {
    path: ['filter'],
    error: 'must limit something, or be left out for `all`',
  })
  .meta({ id: 'FailedJobSelection' });

export type Selection = z.output<typeof selectionSchema>;

export const bulkAnswerSchema = z
  .object({
    dryRun: z.boolean(),
    matched: z.int().min(0).describe('How many were chosen.'),
    changed: z
      .int()
      .min(0)
      .describe('How many of them were changed: not those that somebody else was changing.'),
  })
  .meta({ id: 'FailedJobBulk' });

export type BulkAnswer = z.output<typeof bulkAnswerSchema>;

function isEmpty(filter: DeadLetterFilter): boolean {
  return Object.keys(filter).length === 0;
}
