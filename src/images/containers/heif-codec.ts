/** The settings of decoders, without what else may lie in their boxes. */

/** Before the arrays of `hvcC`: ISO/IEC 14496-15, section 8.3.2.1. */
const HVCC_HEADER_BYTES = 22;
/** The sets of parameters for video, sequence and picture: ITU-T H.265, table 7-1. */
const PARAMETER_SETS = [32, 33, 34];
/** Before the OBUs of `av1C`: AV1 Codec ISO Media File Format Binding, section 2.3. */
const AV1C_HEADER_BYTES = 4;
/** AV1 Bitstream Specification, section 6.2.2. */
const SEQUENCE_HEADER = 1;
/** AV1 Bitstream Specification, section 4.10.5. */
const MAX_LEB128_BYTES = 8;

/** Content of an `hvcC` box with sets of parameters alone; undefined when it is malformed. */
export function hevcSettings(content: Buffer): Buffer | undefined {
  const arrayCount = content[HVCC_HEADER_BYTES];
  if (arrayCount === undefined) return undefined;
  const arrays: Buffer[] = [];
  let at = HVCC_HEADER_BYTES + 1;
  for (let read = 0; read < arrayCount; read += 1) {
    const array = readUnits(content, at);
    if (!array) return undefined;
    if (PARAMETER_SETS.includes(array.type) && array.units.length > 0) {
      // Whether all such units are here, and their type.
      const header = Buffer.from([(content[at] ?? 0) & 0xbf, 0, 0]);
      header.writeUInt16BE(array.units.length, 1);
      arrays.push(Buffer.concat([header, ...array.units]));
    }
    at = array.end;
  }
  const header = content.subarray(0, HVCC_HEADER_BYTES);
  return Buffer.concat([header, Buffer.from([arrays.length]), ...arrays]);
}

/**
 * An array of `hvcC`.
 *
 * @returns the units that are of the array's type, each behind its length
 */
function readUnits(content: Buffer, start: number) {
  if (start + 3 > content.length) return undefined;
  const type = content.readUInt8(start) & 0x3f;
  const count = content.readUInt16BE(start + 1);
  const units: Buffer[] = [];
  let at = start + 3;
  for (let read = 0; read < count; read += 1) {
    if (at + 2 > content.length) return undefined;
    const end = at + 2 + content.readUInt16BE(at);
    if (end > content.length) return undefined;
    const isOfType = end > at + 2 && (content.readUInt8(at + 2) >> 1) % 64 === type;
    if (isOfType) units.push(content.subarray(at, end));
    at = end;
  }
  return { type, units, end: at };
}

/**
 * Content of an `av1C` box with the first sequence header alone: what else may stand there is
 * metadata and padding. Nothing may follow, as decoders would take it for the picture's data.
 */
export function av1Settings(content: Buffer): Buffer | undefined {
  if (content.length < AV1C_HEADER_BYTES) return undefined;
  const header = content.subarray(0, AV1C_HEADER_BYTES);
  for (let at = AV1C_HEADER_BYTES; at < content.length;) {
    const unit = readObu(content, at);
    if (!unit) break;
    if (unit.type === SEQUENCE_HEADER) {
      return Buffer.concat([header, content.subarray(at, unit.end)]);
    }
    at = unit.end;
  }
  return header;
}

/** An OBU that tells its size: AV1 Bitstream Specification, section 5.3. */
function readObu(content: Buffer, start: number): { type: number; end: number } | undefined {
  const header = content.readUInt8(start);
  const [hasExtension, hasSize] = [(header & 0x04) !== 0, (header & 0x02) !== 0];
  if ((header & 0x80) !== 0 || !hasSize) return undefined;
  const sizeAt = start + (hasExtension ? 2 : 1);
  let size = 0;
  for (let read = 0; read < MAX_LEB128_BYTES; read += 1) {
    const byte = content[sizeAt + read];
    if (byte === undefined) return undefined;
    size += (byte & 0x7f) * 2 ** (7 * read);
    if (byte < 0x80) {
      const end = sizeAt + read + 1 + size;
      return end > content.length ? undefined : { type: (header >> 3) & 0x0f, end };
    }
  }
  return undefined;
}
