import { JobRefusal } from '../../queue/job-errors.js';
import { DecoderCrashed, DecoderOutOfMemory, DecoderTimedOut } from '../decoding/decoder.js';
import { DecodeRefused, type RefusalCode } from '../decoding/variants.js';

/** What owners are told of a file that is at fault. */
const DETAILS: Record<RefusalCode, string> = {
  'empty-file': 'The file is empty.',
  'unsupported-type': 'The file is not a picture that we take.',
  'too-many-pixels': 'The picture has more pixels than are taken.',
  'too-many-frames': 'The animation has more frames than are taken.',
  truncated: 'The file ends before its picture does.',
  'corrupt-file': 'The file is damaged.',
  undecodable: 'The file is damaged or is no picture.',
};

/** Whether the child did not survive the file. */
export function isFatalToDecoder(error: unknown): boolean {
  return (
    error instanceof DecoderCrashed ||
    error instanceof DecoderTimedOut ||
    error instanceof DecoderOutOfMemory
  );
}

/** The file's own faults end its work; anything else is returned as it is, to be tried again. */
export function asRefusal(error: unknown): unknown {
  const options = { cause: error };
  if (error instanceof DecodeRefused) {
    return new JobRefusal(error.code, DETAILS[error.code], options);
  }
  if (error instanceof DecoderCrashed) {
    return new JobRefusal('decoder-crashed', 'The file cannot be decoded safely.', options);
  }
  if (error instanceof DecoderTimedOut) {
    return new JobRefusal('decode-timeout', 'The file takes too long to decode.', options);
  }
  if (error instanceof DecoderOutOfMemory) {
    return new JobRefusal('decode-memory', 'The file takes too much memory to decode.', options);
  }
  return error;
}
