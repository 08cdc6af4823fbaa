import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SharedAnswer } from './shared-answer.js';

const FRESH_MS = 1_000;

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

/** An answer that counts how often it was asked for, from 1. */
function counted(freshMs = FRESH_MS) {
  let asked = 0;
  return new SharedAnswer(async () => {
    asked += 1;
    if (asked === 3) throw new Error('away');
    return asked;
  }, freshMs);
}

describe('A shared answer', () => {
  it('is asked for once, however many ask at once', async () => {
    const answer = counted(0);
    expect(await Promise.all([answer.get(), answer.get(), answer.get()])).toEqual([1, 1, 1]);
    expect(await answer.get()).toBe(2);
  });

  it('serves for its time, and no longer', async () => {
    const answer = counted();
    expect(await answer.get()).toBe(1);
    jest.advanceTimersByTime(FRESH_MS - 1);
    expect(await answer.get()).toBe(1);
    jest.advanceTimersByTime(1);
    expect(await answer.get()).toBe(2);
  });

  it('serves from when it came', async () => {
    const slow = new SharedAnswer(
      () =>
        new Promise((resolve) =>
          setTimeout(() => {
            resolve(performance.now());
          }, 5_000),
        ),
      FRESH_MS,
    );
    const first = slow.get();
    await jest.advanceTimersByTimeAsync(5_000 + FRESH_MS - 1);
    expect(await slow.get()).toBe(await first);
  });

  it('fails for the same time, and is asked for again', async () => {
    const answer = counted();
    for (const expected of [1, 2]) {
      expect(await answer.get()).toBe(expected);
      jest.advanceTimersByTime(FRESH_MS);
    }
    await expect(answer.get()).rejects.toThrow('away');
    await expect(answer.get()).rejects.toThrow('away');
    jest.advanceTimersByTime(FRESH_MS);
    expect(await answer.get()).toBe(4);
  });

  it('is asked for anew, before its time, by who has to know what happened since', async () => {
    const answer = counted();
    expect(await answer.get()).toBe(1);
    expect(await Promise.all([answer.getNew(), answer.get()])).toEqual([2, 2]);
  });

  it('that is under way is too old for those, who share the one after it', async () => {
    const waiting: PromiseWithResolvers<number>[] = [];
    const answer = new SharedAnswer(() => {
      const asked = Promise.withResolvers<number>();
      waiting.push(asked);
      return asked.promise;
    }, FRESH_MS);
    const first = answer.get();
    const [second, third] = [answer.getNew(), answer.getNew()];
    expect(waiting).toHaveLength(1);
    waiting[0]!.reject(new Error('away'));
    await expect(first).rejects.toThrow('away');
    await jest.advanceTimersByTimeAsync(0);
    expect(waiting).toHaveLength(2);
    const fourth = answer.getNew();
    waiting[1]!.resolve(2);
    expect(await Promise.all([second, third])).toEqual([2, 2]);
    await jest.advanceTimersByTimeAsync(0);
    waiting[2]!.resolve(3);
    expect([await fourth, await answer.get(), waiting.length]).toEqual([3, 3, 3]);
  });
});
