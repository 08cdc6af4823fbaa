/** ICC.1:2022, section 7.2: size, 32 bytes of other fields, and the signature of every profile. */
const HEADER_BYTES = 128;
const SIGNATURE_AT = 36;
const SIGNATURE = 'acsp';

/**
 * The ICC profile that bytes begin with, without what follows it.
 *
 * @returns nothing when they are no profile, or the beginning of one
 */
export function profileIn(bytes: Buffer): Buffer | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const size = bytes.readUInt32BE(0);
  const isProfile =
    size >= HEADER_BYTES &&
    size <= bytes.length &&
    bytes.toString('latin1', SIGNATURE_AT, SIGNATURE_AT + SIGNATURE.length) === SIGNATURE;
  return isProfile ? bytes.subarray(0, size) : undefined;
}
