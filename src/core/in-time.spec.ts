import { expect, it } from '@jest/globals';
import { inTime } from './in-time.js';

it('gives what the work gives, or fails with', async () => {
  await expect(inTime(Promise.resolve(1), 1_000)).resolves.toBe(1);
  await expect(inTime(Promise.reject(new Error('broken')), 1_000)).rejects.toThrow('broken');
});

it('gives up work that is late, and hears no more of it', async () => {
  const work = Promise.withResolvers<never>();
  await expect(inTime(work.promise, 10)).rejects.toThrow('No answer within 10 ms');
  work.reject(new Error('too late to matter'));
});

it('leaves no timer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  await inTime(Promise.resolve(), 60_000);
  expect(timers()).toBe(before);
});
