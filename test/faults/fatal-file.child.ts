import { readFileSync } from 'node:fs';
import '../../src/images/decoding/decode.child.js';
import { type DecodeTask } from '../../src/images/decoding/variants.js';

/** What stands behind the picture in the files that kill this child. */
const FATAL = 'fatal to decoders';

/** A decoding child that decodes, except that some files crash it, as no file should be able to. */
process.prependListener('message', (task) => {
  if (readFileSync((task as DecodeTask).input).includes(FATAL))
    process.kill(process.pid, 'SIGSEGV');
});
