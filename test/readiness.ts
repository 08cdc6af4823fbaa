import { expect } from '@jest/globals';
import { eventually } from './eventually.js';

/** What `GET /health/ready` says. */
export interface ReadinessBody {
  checks?: Record<string, string>;
  code?: string;
  detail?: string;
}

/** Asks a process whether it is ready until the status is as expected: results serve for a second. */
export async function readiness(url: string, expected: 200 | 503): Promise<ReadinessBody> {
  const answer = await eventually(
    // While it starts, there may be nobody.
    () => fetch(`${url}/health/ready`).catch(() => undefined),
    (each) => each?.status === expected,
  );
  expect(answer?.status).toBe(expected);
  return (await answer?.json()) as ReadinessBody;
}
