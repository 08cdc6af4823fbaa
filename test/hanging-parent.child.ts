import { decoderPoolFromSources } from './decoding.js';
import { type DecodeTask } from '../src/images/decoding/variants.js';

/** A process that has a pool of its own run the task that it is sent. */
process.on('message', (task: DecodeTask) => {
  const pool = decoderPoolFromSources({
    size: 1,
    memoryMb: 1000,
    childModule: new URL('./misbehaving.child.ts', import.meta.url),
  });
  void pool.run(task, { timeoutMs: 60_000, memoryMb: 100 });
});
