import { parentPort } from 'node:worker_threads';
import { monotonicMs, type Span } from './standstills.ts';

/** A thread with nothing to do: when it wakes late, the machine let nothing run that was due. */

const TICK_MS = 5;
/** Later than any scheduler lets a thread wait that has slept, on a machine that runs. */
const LATE_MS = 20;

let spans: Span[] = [];
let last = monotonicMs();

setInterval(() => {
  const now = monotonicMs();
  if (now - last > TICK_MS + LATE_MS) spans.push({ from: last, to: now });
  last = now;
}, TICK_MS);

parentPort?.on('message', () => {
  parentPort?.postMessage(spans);
  spans = [];
});
parentPort?.postMessage('ready');
