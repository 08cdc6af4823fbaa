import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import '../src/images/decoding/decode.child.js';
import { type DecodeTask } from '../src/images/decoding/variants.js';

/** A decoding child that decodes, except that the name of the input can tell it to misbehave. */

const behaviours: Record<string, () => void> = {
  crash: () => process.kill(process.pid, 'SIGSEGV'),
  exit: () => process.exit(3),
  hang: () => {
    for (;;);
  },
  devour: () => {
    const bite = 20_000_000;
    const taken: Buffer[] = [];
    // Were nobody to watch, it would stop before the machine suffers.
    while (taken.length < 60) {
      taken.push(Buffer.alloc(bite, 1));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  },
};

// Before the listener of the real child.
process.prependListener('message', (task) => {
  const { input, outputFolder } = task as DecodeTask;
  writeFileSync(join(outputFolder, 'pid'), String(process.pid));
  behaviours[basename(input)]?.();
});
