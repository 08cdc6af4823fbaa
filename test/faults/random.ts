/** Pseudo-random numbers that are the same in every run: the mulberry32 generator. */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below) | 0;
  };
}

/** A copy of a file with one to five faults, of the kinds that disks, networks and attackers make. */
export function mutate(file: Buffer, random: (below: number) => number): Buffer {
  let bytes: Buffer = Buffer.from(file);
  for (let faults = 1 + random(5); faults > 0; faults -= 1) {
    bytes = FAULTS[random(FAULTS.length)]!(bytes, random);
  }
  return bytes;
}

type Fault = (bytes: Buffer, random: (below: number) => number) => Buffer;

const FAULTS: readonly Fault[] = [
  function flipBits(bytes, random) {
    for (let i = 0; i < 8; i += 1) bytes[random(bytes.length)]! ^= 1 << random(8);
    return bytes;
  },
  function overwriteNearTheStart(bytes, random) {
    bytes[random(Math.min(bytes.length, 256))] = random(256);
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
    const from = random(bytes.length);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + random(64))]);
  },
  function repeat(bytes, random) {
    const from = random(bytes.length);
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
