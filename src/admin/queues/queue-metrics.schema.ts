import { z } from 'zod';

const perMinute = z
  .object({
    completed: z.number().min(0),
    failed: z.number().min(0).describe('Refused, or given up: the work is over and not done.'),
    retried: z.number().min(0).describe('Attempts that failed and are not the last.'),
  })
  .meta({ id: 'AttemptRate' });

const queueSchema = z
  .object({
    name: z.string().describe('The kind of job.'),
    waiting: z
      .int()
      .min(0)
      .nullable()
      .describe('Jobs that wait in the queue; null while the queue does not answer.'),
    active: z.int().min(0).describe('Rows that a worker holds.'),
    completed: z.int().min(0).describe('Attempts that did their work, since counting began.'),
    failed: z
      .int()
      .min(0)
      .describe('Attempts with which the work was refused or given up, since counting began.'),
    delayed: z.int().min(0).describe('Rows that rest until their next attempt.'),
    due: z.int().min(0).describe('Rows that could be worked on and are not, in the queue or not.'),
    oldestDueSeconds: z
      .number()
      .min(0)
      .describe('For how long the oldest of those has been due; 0 when there is none.'),
    rates: z
      .object({ oneMinute: perMinute, fiveMinutes: perMinute, fifteenMinutes: perMinute })
      .describe('Attempts a minute, over so many minutes until now.'),
  })
  .meta({ id: 'QueueMetrics' });

export const queueMetricsSchema = z.object({ queues: z.array(queueSchema) });

export type QueueMetricsAnswer = z.output<typeof queueMetricsSchema>;
