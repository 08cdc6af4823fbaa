import { describe, expect, it } from '@jest/globals';
import { Buckets } from './buckets.js';

const WINDOW_MS = 60_000;

/** Takes so many at a time of `performance.now()`. @returns how many were taken */
function takeMany(buckets: Buckets, sender: string, times: number, now = 0): number {
  return Array.from({ length: times }, () => buckets.take(sender, now)).filter((ms) => ms === 0)
    .length;
}

describe('Buckets', () => {
  it('take as many as the limit in a minute, of each sender by itself', () => {
    const buckets = new Buckets(10, WINDOW_MS);
    expect(takeMany(buckets, 'ada', 25)).toBe(10);
    expect(takeMany(buckets, 'bob', 3)).toBe(3);
    expect(buckets.take('ada', WINDOW_MS - 500)).toBe(500);
    expect(takeMany(buckets, 'ada', 25, WINDOW_MS)).toBe(10);
  });

  it('go by what others have counted, once they have heard of it, and by their minute', () => {
    const buckets = new Buckets(10, WINDOW_MS);
    takeMany(buckets, 'ada', 4);
    const [unsettled] = buckets.unsettled(1_000);
    expect(unsettled).toMatchObject({ key: 'ada', times: 4 });
    // One more comes while the store is told.
    takeMany(buckets, 'ada', 1, 1_000);
    unsettled?.settle({ count: 8, resetsInSeconds: 20 }, 1_000);
    expect(takeMany(buckets, 'ada', 5, 1_000)).toBe(1);
    expect(buckets.take('ada', 1_000)).toBe(20_000);
    expect(takeMany(buckets, 'ada', 1, 21_000)).toBe(1);
  });

  it('tell nobody of those who send little, nor twice of the same', () => {
    const buckets = new Buckets(1_000, WINDOW_MS);
    takeMany(buckets, 'quiet', 10);
    takeMany(buckets, 'busy', 11);
    const [busy, ...others] = buckets.unsettled(1);
    expect([busy?.key, busy?.times, others]).toEqual(['busy', 11, []]);
    busy?.settle({ count: 11, resetsInSeconds: 60 }, 1);
    expect(buckets.unsettled(2)).toEqual([]);
  });

  it('take no harm from an answer of the minute before', () => {
    const buckets = new Buckets(10, WINDOW_MS);
    takeMany(buckets, 'ada', 10);
    const [unsettled] = buckets.unsettled(WINDOW_MS - 1);
    takeMany(buckets, 'ada', 4, WINDOW_MS);
    unsettled?.settle({ count: 10, resetsInSeconds: 0 }, WINDOW_MS);
    expect(takeMany(buckets, 'ada', 25, WINDOW_MS + 1)).toBe(6);
  });

  it('forget minutes that are over, and the oldest when there are too many', () => {
    const buckets = new Buckets(10, WINDOW_MS);
    for (let each = 0; each < 100_000; each += 1) buckets.take(`sender ${each}`, 0);
    takeMany(buckets, 'sender 0', 9);
    buckets.take('one more', 0);
    expect(buckets.size).toBe(100_000);
    expect(takeMany(buckets, 'sender 0', 25)).toBe(10);
    buckets.unsettled(WINDOW_MS);
    expect(buckets.size).toBe(0);
  });
});
