import { type Random } from './random.js';

/** Most of the structure of a picture lies within so many bytes of its start. */
const HEAD_BYTES = 400;

type Fault = (bytes: Buffer, random: Random) => Buffer;

/**
 * A copy of a file with one to five faults, of the kinds that disks, networks and attackers make.
 * Few are likelier: many are seen at once, and what is deep inside stays unreached.
 */
export function mutate(file: Buffer, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(file);
  for (let faults = 1 + random(1 + random(5)); faults > 0; faults -= 1) {
    bytes = FAULTS[random(FAULTS.length)]!(bytes, random);
  }
  return bytes;
}

const FAULTS: readonly Fault[] = [
  function flipBit(bytes, random) {
    bytes[place(bytes, random)]! ^= 1 << random(8);
    return bytes;
  },
  function flipBits(bytes, random) {
    for (let i = 0; i < 8; i += 1) bytes[random(bytes.length)]! ^= 1 << random(8);
    return bytes;
  },
  function overwrite(bytes, random) {
    bytes[place(bytes, random)] = [0, 0xff, random(256)][random(3)]!;
    return bytes;
  },
  function writeHugeNumber(bytes, random) {
    if (bytes.length > 8) bytes.writeUInt32BE(0xff_ff_ff_f0 + random(16), random(bytes.length - 4));
    return bytes;
  },
  function cutOff(bytes, random) {
    return bytes.subarray(0, 1 + random(bytes.length));
  },
  function takeOut(bytes, random) {
    const from = place(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + random(64))]);
  },
  function repeat(bytes, random) {
    const from = place(bytes, random);
    const part = bytes.subarray(from, from + 1 + random(256));
    return Buffer.concat([bytes.subarray(0, from), part, bytes.subarray(from)]);
  },
  function blank(bytes, random) {
    const from = random(bytes.length);
    return bytes.fill(random(2) * 255, from, Math.min(bytes.length, from + 1 + random(64)));
  },
  function swap(bytes, random) {
    const middle = random(bytes.length);
    return Buffer.concat([
      bytes.subarray(0, 16),
      bytes.subarray(middle),
      bytes.subarray(16, middle),
    ]);
  },
];

/** Somewhere, and half of the time where the structure is. */
function place(bytes: Buffer, random: Random): number {
  return random(random(2) === 0 ? Math.min(bytes.length, HEAD_BYTES) : bytes.length);
}
