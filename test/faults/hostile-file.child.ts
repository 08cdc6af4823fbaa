import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import '../../src/images/decoding/decode.child.js';
import { type DecodeTask } from '../../src/images/decoding/variants.js';

/**
 * A decoding child that decodes, except that some files do to it what no file should be able to.
 * What they carry behind their picture says so; each try becomes a line of `DATA_DIR/tries`.
 */
const EFFECTS: Record<string, () => void> = {
  'crashes decoders': () => process.kill(process.pid, 'SIGSEGV'),
  'hangs decoders': () => {
    for (;;);
  },
  'devours memory': () => {
    const taken: Buffer[] = [];
    // Were nobody to watch, it would stop before the machine suffers.
    while (taken.length < 60) {
      taken.push(Buffer.alloc(20_000_000, 1));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  },
};

process.prependListener('message', (message) => {
  const { input, outputFolder } = message as DecodeTask;
  const file = readFileSync(input);
  for (const [name, effect] of Object.entries(EFFECTS)) {
    if (!file.includes(name)) continue;
    appendFileSync(join(outputFolder, '..', '..', 'tries'), `${name}\n`);
    effect();
  }
});
