/**
 * Loaded into a process of the product with `--import`: tells, whenever it is asked, for how long
 * the event loop worked at one thing at the most since it was last asked.
 *
 * That is the time of the processor between two ticks of a timer, so what else runs on the machine
 * does not count. Waiting without the loop would not count either, and the product never does.
 */
const TICK_MS = 5;
const SETTLE_MS = 20;

let before = usedMs();
let longestStallMs = 0;

setInterval(() => {
  const now = usedMs();
  longestStallMs = Math.max(longestStallMs, now - before);
  before = now;
}, TICK_MS).unref();

process.on('message', (word) => {
  if (word !== 'event loop') return;
  // A stall is noted by the tick after it.
  setTimeout(() => {
    process.send?.({ longestStallMs });
    longestStallMs = 0;
  }, SETTLE_MS);
});

/** What this thread has used of the processor, in milliseconds. */
function usedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
