import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Loaded into a process of the product with `--import`: tells, whenever it is asked, for how long
 * the event loop stood still at the most since it was last asked.
 */
const SETTLE_MS = 20;
const watch = monitorEventLoopDelay({ resolution: 5 });
watch.enable();
process.on('message', (word) => {
  if (word !== 'event loop') return;
  // A stall is noted by the tick after it, and none before the first tick after a reset.
  setTimeout(() => {
    const longestStallMs = watch.max / 1e6;
    watch.reset();
    setTimeout(() => process.send?.({ longestStallMs }), SETTLE_MS);
  }, SETTLE_MS);
});
