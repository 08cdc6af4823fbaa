import { beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { inserted, pngChunk, segment } from '../../../test/container-parts.js';
import { mutate } from '../../../test/mutations.js';
import { drawing, fixture, makeAnimation, makeEveryKind } from '../../../test/pictures.js';
import { seededRandom } from '../../../test/random.js';
import { ContainerRefused } from './container.js';
import { stripMetadata } from './strip.js';
import { ContainerWalk, walkFile } from './walk.js';

const limits = { maxPixels: 50_000_000, maxFrames: 100 };
let files: Record<string, Buffer>;

beforeAll(async () => {
  files = await makeEveryKind();
});

/** The code of the refusal, or the facts. Anything else that is thrown fails the test. */
function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (error instanceof ContainerRefused) return error.code;
    throw error;
  }
}

const walk = (file: Buffer) => outcome(() => walkFile(file, limits));

function walkInChunks(file: Buffer, size: () => number): unknown {
  return outcome(() => {
    const walking = new ContainerWalk(limits);
    for (let at = 0; at < file.length;) {
      // What is written may be reused at once.
      const chunk = Buffer.from(file.subarray(at, (at += size())));
      walking.write(chunk);
      chunk.fill(0xff);
    }
    return walking.end();
  });
}

describe('the structure of a file', () => {
  it('tells what the decoder tells', async () => {
    expect.assertions(Object.keys(files).length);
    for (const [name, file] of Object.entries(files)) {
      const { format, width, height, pageHeight, pages, orientation, isProgressive, compression } =
        await sharp(file, { animated: true }).metadata();
      const codecs: Record<string, string> = { av1: 'avif', hevc: 'heic' };
      expect([name, walk(file)]).toEqual([
        name,
        {
          format: codecs[compression ?? ''] ?? format,
          width,
          height: pageHeight ?? height,
          frames: pages ?? 1,
          orientation: orientation ?? 1,
          progressive: format === 'jpeg' && isProgressive,
        },
      ]);
    }
  });

  it('is the same however the file is cut into chunks', () => {
    const random = seededRandom(7);
    for (const [name, file] of Object.entries(files)) {
      const whole = walk(file);
      expect([name, walkInChunks(file, () => 1)]).toEqual([name, whole]);
      for (let round = 0; round < 20; round += 1) {
        const size = () => 1 + random(1 + random(1 + random(3000)));
        expect([name, walkInChunks(file, size)]).toEqual([name, whole]);
      }
    }
  });

  it('is refused at whatever byte the file ends', () => {
    for (const [name, file] of Object.entries(files)) {
      const passed: unknown[] = [];
      for (let length = 0; length < file.length; length += 1) {
        const result = walk(file.subarray(0, length));
        const expected = length === 0 ? ['empty-file'] : ['truncated', 'unsupported-type'];
        if (!expected.includes(result as string)) passed.push([length, result]);
        if (length > 32 && result === 'unsupported-type') passed.push([length, result]);
      }
      expect([name, passed]).toEqual([name, []]);
    }
  });

  it.each(['PK\u0003\u0004zip', '<!DOCTYPE html><html>', '\0'.repeat(20), '\xff\xd8\xff\xe0', 'x'])(
    'does not depend on what follows the picture: %j',
    (tail) => {
      for (const [name, file] of Object.entries(files)) {
        const longer = Buffer.concat([file, Buffer.from(tail, 'latin1')]);
        expect([name, walk(longer)]).toEqual([name, walk(file)]);
        expect([name, walkInChunks(longer, () => 5)]).toEqual([name, walk(file)]);
      }
    },
  );

  it('refuses or takes damaged files, and does nothing else', () => {
    for (const [name, file] of Object.entries(files)) {
      const random = seededRandom(name.length);
      for (let round = 0; round < 1000; round += 1) {
        const damaged = mutate(file, random);
        const facts = walk(damaged);
        expect(walkInChunks(damaged, () => 1 + random(500))).toEqual(facts);
        const stripped = outcome(() => stripMetadata(damaged, limits));
        if (typeof facts === 'string' && stripped !== facts) throw new Error(`${name} ${round}`);
        if (typeof stripped === 'string') continue;
        const { picture } = stripped as ReturnType<typeof stripMetadata>;
        if (!stripMetadata(Buffer.from(picture), limits).picture.equals(picture)) {
          throw new Error(`${name} ${round} changes when it is stripped twice`);
        }
      }
    }
  });
});

describe('a walk', () => {
  it('refuses again after it has refused', () => {
    const walking = new ContainerWalk(limits);
    expect(
      outcome(() => {
        walking.write(Buffer.from('no picture at all'));
      }),
    ).toBe('unsupported-type');
    expect(
      outcome(() => {
        walking.write(files.PNG!);
      }),
    ).toBe('unsupported-type');
    expect(outcome(() => walking.end())).toBe('unsupported-type');
  });

  it('refuses an empty file', () => {
    expect(walk(Buffer.alloc(0))).toBe('empty-file');
  });

  it('refuses too many pixels by the first bytes', () => {
    const jpeg = Buffer.from(files['baseline JPEG']!);
    jpeg.fill(0xff, jpeg.indexOf('ffc0', 'hex') + 5, jpeg.indexOf('ffc0', 'hex') + 9);
    const png = Buffer.from(files.PNG!);
    png.writeUInt32BE(20_000, 16);
    png.writeUInt32BE(20_000, 20);
    const gif = Buffer.from(files.GIF!);
    gif.fill(0xff, 6, 10);
    const webp = Buffer.from(files['WebP with alpha']!);
    webp.fill(0xff, 24, 30);
    const heic = Buffer.from(files.HEIC!);
    for (let at = heic.indexOf('ispe'); at !== -1; at = heic.indexOf('ispe', at + 4)) {
      heic.writeUInt32BE(2_000_000, at + 8);
    }
    for (const file of [jpeg, png, gif, webp, heic]) {
      const walking = new ContainerWalk(limits);
      expect(
        outcome(() => {
          walking.write(file.subarray(0, 800));
        }),
      ).toBe('too-many-pixels');
    }
  });

  it('refuses one frame too many as soon as it comes', async () => {
    for (const format of ['gif', 'webp'] as const) {
      const file = await makeAnimation({ format, frames: 4 });
      expect(outcome(() => walkFile(file, { ...limits, maxFrames: 4 }))).toMatchObject({
        frames: 4,
      });
      const walking = new ContainerWalk({ ...limits, maxFrames: 3 });
      expect(
        outcome(() => {
          walking.write(file.subarray(0, -20));
        }),
      ).toBe('too-many-frames');
      const pixels = { ...limits, maxPixels: 60 * 44 * 4 - 1 };
      expect(outcome(() => walkFile(file, pixels))).toBe('too-many-pixels');
    }
  });

  it('counts the frames of an animated PNG', () => {
    const animated = (frames: number) =>
      inserted(files.PNG!, 33, pngChunk('acTL', Buffer.from([0, 0, 0, frames, 0, 0, 0, 0])));
    expect(walk(animated(5))).toMatchObject({ frames: 5 });
    expect(walk(animated(101))).toBe('too-many-frames');
    const frame = pngChunk('fcTL', Buffer.alloc(26));
    const more = inserted(animated(1), 33 + 20, ...Array.from({ length: 101 }, () => frame));
    expect(walk(more)).toBe('too-many-frames');
  });

  it('refuses more empty chunks than any picture has', () => {
    const chunk = pngChunk('tEXt', Buffer.alloc(0));
    expect(walk(inserted(files.PNG!, 33, Buffer.alloc(chunk.length * 200_000, chunk)))).toBe(
      'corrupt-file',
    );
  });

  it('holds no more than it looks at', () => {
    const soi = files['baseline JPEG']!.subarray(0, 2);
    const walking = new ContainerWalk(limits);
    walking.write(soi);
    const before = process.memoryUsage.rss();
    const part = segment(0xe5, Buffer.alloc(65_000));
    for (let count = 0; count < 2000; count += 1) walking.write(part);
    expect(process.memoryUsage.rss() - before).toBeLessThan(60_000_000);
  });
});

describe('a contradiction is refused', () => {
  const jpegParts = (file: Buffer) => {
    const sof = file.indexOf('ffc0', 'hex');
    const sos = file.indexOf('ffda', 'hex');
    return { sof, sos, frame: file.subarray(sof, sof + 19) };
  };

  it('in a JPEG', () => {
    const jpeg = files['baseline JPEG']!;
    const { sof, sos, frame } = jpegParts(jpeg);
    const cases = {
      'a second SOI': inserted(jpeg, sof, Buffer.from('ffd8', 'hex')),
      'a second frame header': inserted(jpeg, sos, frame),
      'no frame header': Buffer.concat([jpeg.subarray(0, sof), jpeg.subarray(sof + 19)]),
      'no scan': Buffer.concat([jpeg.subarray(0, sos), Buffer.from('ffd9', 'hex')]),
      'a segment without a length': inserted(jpeg, sof, Buffer.from('ffe50001', 'hex')),
      'too many scans': inserted(
        jpeg,
        sos,
        Buffer.alloc(10 * 600, segment(0xda, '\x01\x01\0\0?\0')),
      ),
    };
    for (const [name, file] of Object.entries(cases)) {
      expect([name, walk(file)]).toEqual([name, 'corrupt-file']);
    }
    const lossless = Buffer.from(jpeg);
    lossless[sof + 1] = 0xc3;
    expect(walk(lossless)).toBe('unsupported-type');
    const twelveBits = Buffer.from(jpeg);
    twelveBits[sof + 4] = 12;
    expect(walk(twelveBits)).toBe('unsupported-type');
  });

  it('in a PNG', () => {
    const png = files.PNG!;
    const header = png.subarray(8, 33);
    const cases = {
      'a chunk before the header': inserted(png, 8, pngChunk('gAMA', Buffer.alloc(4))),
      'a second header': inserted(png, 33, header),
      'no pixels': inserted(png.subarray(0, 33), 33, pngChunk('IEND', Buffer.alloc(0))),
      'a chunk longer than allowed': inserted(png, 33, Buffer.from('ffffffff74455874', 'hex')),
      'a chunk of no name': inserted(png, 33, pngChunk('12 4', Buffer.alloc(1))),
      'an unknown critical chunk': inserted(png, 33, pngChunk('ABCD', Buffer.alloc(1))),
    };
    for (const [name, file] of Object.entries(cases)) {
      expect([name, walk(file)]).toEqual([name, 'corrupt-file']);
    }
    const empty = Buffer.from(png);
    empty.writeUInt32BE(0, 16);
    expect(walk(empty)).toBe('corrupt-file');
  });

  it('in a GIF, a WebP and a HEIC', () => {
    const webp = Buffer.from(files.WebP!);
    webp.writeUInt32LE(webp.length, 16);
    expect(walk(webp)).toBe('corrupt-file');
    const canvas = Buffer.from(files['WebP with alpha']!);
    canvas[24] = 100;
    expect(walk(canvas)).toBe('corrupt-file');
    expect(walk(inserted(files.GIF!, files.GIF!.length - 1, Buffer.from([7])))).toBe(
      'corrupt-file',
    );
    const heic = Buffer.from(files.HEIC!);
    heic.writeUInt16BE(9999, heic.indexOf('pitm') + 8);
    expect(walk(heic)).toBe('corrupt-file');
    const grid = Buffer.from(files.HEIC!);
    grid.writeUInt16BE(4000, grid.indexOf('idat') + 8);
    expect(walk(grid)).toBe('corrupt-file');
  });
});

describe('a GIF', () => {
  it('is as large as its first picture, whatever the canvas and the others are', async () => {
    const gif = Buffer.from(files['animated GIF']!);
    const images: number[] = [];
    walkFile(gif, limits, (start) => {
      if (gif[start] === 0x2c) images.push(start);
    });
    gif.writeUInt16LE(1, 6);
    gif.writeUInt16LE(200, images[1]! + 1);
    const { width, pageHeight } = await sharp(gif, { animated: true }).metadata();
    expect(width).toBe(60);
    expect(walk(gif)).toMatchObject({ width, height: pageHeight, frames: 3 });
    gif.writeUInt16LE(40_000, images[0]! + 5);
    expect(outcome(() => walkFile(gif, { ...limits, maxPixels: 1_000_000 }))).toBe(
      'too-many-pixels',
    );
  });
});

describe('a HEIC', () => {
  it('is told as it stands upright', async () => {
    const heic = Buffer.from(await fixture('plain.heic'));
    // The first property of the primary picture that decoding can do without becomes a rotation.
    const pixi = heic.lastIndexOf('pixi', heic.indexOf('auxC'));
    expect(pixi).toBeGreaterThan(0);
    for (let at = heic.indexOf('pixi'); at !== -1; at = heic.indexOf('pixi', at)) {
      heic.write('irot\u0001', at, 'latin1');
    }
    const { width, height } = await sharp(heic).metadata();
    expect({ width, height }).toEqual({ width: 48, height: 64 });
    expect(walk(heic)).toMatchObject({ width, height, orientation: 1 });
  });

  it('is refused under the brand of another codec', () => {
    const heic = Buffer.from(files.HEIC!);
    heic.write('avif', 8, 'latin1');
    expect(walk(heic)).toBe('unsupported-type');
  });

  it('may have its data before its description', async () => {
    const file = await drawing().avif({ effort: 0 }).toBuffer();
    const boxes = topBoxes(file);
    const [ftyp, meta, mdat] = ['ftyp', 'meta', 'mdat'].map((type) => boxes.get(type)!);
    const moved = Buffer.from(meta!);
    moveExtents(moved, -meta!.length);
    const reordered = Buffer.concat([ftyp!, mdat!, moved]);
    expect(walk(reordered)).toEqual(walk(file));
    const pixels = (bytes: Buffer) => sharp(bytes).raw().toBuffer();
    expect((await pixels(reordered)).equals(await pixels(file))).toBe(true);
    for (let length = 40; length < reordered.length; length += 1) {
      expect(walk(reordered.subarray(0, length))).toBe('truncated');
    }
  });
});

function topBoxes(file: Buffer): Map<string, Buffer> {
  const boxes = new Map<string, Buffer>();
  for (let at = 0; at < file.length; at += file.readUInt32BE(at)) {
    boxes.set(
      file.toString('latin1', at + 4, at + 8),
      file.subarray(at, at + file.readUInt32BE(at)),
    );
  }
  return boxes;
}

/** Moves the single item of an `iloc` box as libheif writes it. */
function moveExtents(meta: Buffer, by: number): void {
  const iloc = meta.indexOf('iloc');
  const end = iloc - 4 + meta.readUInt32BE(iloc - 4);
  // Its last fields: the base offset, the number of extents, and the one's offset and length.
  meta.writeUInt32BE(meta.readUInt32BE(end - 14) + by, end - 14);
}
