import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { Silence } from './silence.js';

const LIMIT_MS = 500;

/** Begins a query. @returns how to answer it, and after which time it was given up */
function begin(silence: Silence) {
  const startedAt = performance.now();
  let givenUpMs: number | undefined;
  const answer = silence.begin(() => {
    givenUpMs = performance.now() - startedAt;
  });
  return { answer, givenUpMs: () => givenUpMs };
}

it('gives up each query that is not answered, once its own time is over', async () => {
  const silence = new Silence(LIMIT_MS);
  const first = begin(silence);
  const answered = begin(silence);
  await sleep(LIMIT_MS / 2);
  const later = begin(silence);
  answered.answer();
  await sleep(2 * LIMIT_MS);
  for (const { givenUpMs } of [first, later]) {
    expect(givenUpMs()).toBeGreaterThan(LIMIT_MS - 5);
    expect(givenUpMs()).toBeLessThan(1.9 * LIMIT_MS);
  }
  expect(answered.givenUpMs()).toBeUndefined();
});

it('watches on after a while in which nothing was asked', async () => {
  const silence = new Silence(LIMIT_MS);
  begin(silence).answer();
  await sleep(1.5 * LIMIT_MS);
  const query = begin(silence);
  await sleep(1.5 * LIMIT_MS);
  expect(query.givenUpMs()).toBeGreaterThan(LIMIT_MS - 5);
});

it('keeps no process alive', () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  begin(new Silence(60_000));
  expect(timers()).toBe(before);
});
