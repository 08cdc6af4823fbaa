import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { Image } from '../images/image.entity.js';
import { backoff, defineJob } from './job.js';
import { JobRegistry } from './job-registry.js';

const retry = { attempts: 5, backoffMs: 100, maxBackoffMs: 500 };

function aJob(overrides: { name?: string; timeoutMs?: number } = {}) {
  return defineJob({
    name: 'some-work',
    entity: Image,
    owner: 'userId',
    payload: z.strictObject({ id: z.uuid() }),
    payloadOf: (id) => ({ id }),
    rowIdOf: ({ id }) => id,
    retry,
    timeoutMs: 1_000,
    ...overrides,
  });
}

describe('the registry of jobs', () => {
  it('refuses two jobs of one name', () => {
    const registry = new JobRegistry();
    registry.define(aJob());
    expect(() => {
      registry.define(aJob());
    }).toThrow('The job some-work is defined twice');
  });

  it('refuses a job that has no processor, in a process that has some', () => {
    const registry = new JobRegistry();
    const handled = aJob();
    registry.define(handled);
    registry.define(aJob({ name: 'forgotten-work' }));
    registry.onApplicationBootstrap(); // An API process has no processors at all.
    registry.handle(handled);
    expect(() => {
      registry.onApplicationBootstrap();
    }).toThrow('Jobs without a processor: forgotten-work');
  });
});

describe('a job definition', () => {
  it.each([{ name: 'Some Work' }, { name: '' }, { timeoutMs: 0 }])('cannot be %j', (overrides) => {
    expect(() => aJob(overrides)).toThrow();
  });

  it('takes only the payload that it carries', () => {
    expect(() => aJob().rowIdOf({ id: 'x' })).toThrow();
    expect(() => aJob().rowIdOf({})).toThrow();
    const id = '01a1fb4a-2f45-7008-8b93-dafac0126609';
    expect(aJob().rowIdOf(aJob().payloadOf(id))).toBe(id);
  });
});

describe('the rest between attempts', () => {
  it('doubles up to its limit, with up to a quarter of jitter', () => {
    for (const [attempts, full] of [
      [1, 100],
      [2, 200],
      [3, 400],
      [4, 500],
      [9, 500],
    ] as const) {
      for (let round = 0; round < 50; round += 1) {
        const rest = backoff(retry, attempts);
        expect(rest).toBeLessThanOrEqual(full);
        expect(rest).toBeGreaterThanOrEqual(full * 0.75);
      }
    }
  });
});
