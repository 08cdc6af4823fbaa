import { beforeAll, describe, expect, it } from '@jest/globals';
import { deflateSync, inflateSync } from 'node:zlib';
import sharp, { type Metadata } from 'sharp';
import {
  gifExtension,
  inserted,
  pngChunk,
  riff,
  segment,
  zTxt,
} from '../../../test/container-parts.js';
import { drawing, makeAnimation, makeEveryKind, marked } from '../../../test/pictures.js';
import {
  boxNamed,
  gridOf,
  heifFile,
  type HeifFileParts,
  pictureOf,
  reference,
} from '../../../test/heif-file.js';
import { readMeta } from './heif-meta.js';
import { boxOf, fullBoxOf, uint } from './iso-boxes.js';
import { orientationExif } from './exif.js';
import { stripMetadata } from './strip.js';

const limits = { maxPixels: 50_000_000, maxFrames: 100 };
const strip = (file: Buffer) => stripMetadata(Buffer.from(file), limits).picture;
const MARKERS = Buffer.from('MARKER<script>'.repeat(100));
const ALPHA_TYPE = 'urn:mpeg:mpegB:cicp:systems:auxiliary:alpha';
const ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8] as const;
let files: Record<string, Buffer>;

beforeAll(async () => {
  files = await makeEveryKind();
});

/** HEVC is not among what sharp decodes; its coded bytes are compared instead. */
async function pixels(file: Buffer): Promise<Buffer> {
  const { compression } = await sharp(file).metadata();
  if (compression === 'hevc') return file.subarray(file.indexOf('mdat') + 4);
  return sharp(file, { animated: true }).autoOrient().raw().toBuffer();
}

describe('a stripped picture', () => {
  it('has the same pixels, profile and animation', async () => {
    for (const [name, file] of Object.entries(files)) {
      const picture = strip(file);
      const [before, after] = await Promise.all(
        [file, picture].map((each) => sharp(each, { animated: true }).metadata()),
      );
      expect([name, after!.icc]).toEqual([name, before!.icc]);
      const facts = ({ pages, delay, loop, width, height, hasAlpha, depth }: Metadata) => {
        return { pages, delay, loop, width, height, hasAlpha, depth };
      };
      expect([name, facts(after!)]).toEqual([name, facts(before!)]);
      expect([name, after!.xmp, after!.iptc]).toEqual([name, undefined, undefined]);
      if (name === 'marked HEIC') continue;
      expect([name, (await pixels(picture)).equals(await pixels(file))]).toEqual([name, true]);
    }
  });

  it('keeps every coded byte of a HEIC', () => {
    const file = files['marked HEIC']!;
    const picture = strip(file);
    expect(picture.length).toBe(file.length);
    const { start, end } = placesOf(picture).at(-1)!;
    expect(end - start).toBeGreaterThan(100);
    expect(picture.subarray(start, end)).toEqual(file.subarray(start, end));
    const data = file.indexOf('mdat');
    expect(file.every((byte, at) => at < data || [0, byte].includes(picture[at]!))).toBe(true);
  });

  it('is not changed by stripping it again', () => {
    for (const [name, file] of Object.entries(files)) {
      const once = strip(file);
      expect([name, strip(once).equals(once)]).toEqual([name, true]);
    }
  });

  it('has nothing of what the upload told beside its pixels', () => {
    for (const [name, file] of Object.entries(files)) {
      const glued = Buffer.concat([file, Buffer.from('PK\u0003\u0004MARKER<script>')]);
      const picture = strip(glued).toString('latin1');
      expect([name, /MARKER|GPS|<script|xmp|adobe:ns/.test(picture)]).toEqual([name, false]);
    }
    expect(files['marked JPEG']!.includes('MARKER-XMP')).toBe(true);
    expect(files['marked AVIF']!.includes('MARKER-EXIF')).toBe(true);
    expect(files['marked HEIC']!.includes('MARKER-XMP')).toBe(true);
  });

  it('is not turned by an EXIF block that decoders pass over', async () => {
    const turned = Buffer.concat([Buffer.from('Exif\0\0'), orientationExif(6)]);
    const scans = await drawing().jpeg({ progressive: true }).toBuffer();
    const still = await drawing().png().toBuffer();
    const ignored = [
      inserted(scans, scans.length - 2, segment(0xe1, turned)),
      inserted(still, 33, pngChunk('eXIf', turned)),
      inserted(still, still.length - 12, pngChunk('eXIf', orientationExif(6))),
    ];
    for (const file of ignored) {
      const { facts, picture } = stripMetadata(Buffer.from(file), limits);
      expect(facts.orientation).toBe(1);
      expect((await pixels(picture)).equals(await pixels(file))).toBe(true);
    }
  });

  it.each(['jpeg', 'png', 'webp'] as const)(
    'stands upright in all orientations: %s',
    async (format) => {
      for (const orientation of ORIENTATIONS) {
        const file = await marked().withMetadata({ orientation }).toFormat(format).toBuffer();
        const { facts, picture } = stripMetadata(Buffer.from(file), limits);
        expect(facts).toMatchObject({ orientation, width: 60, height: 44 });
        const { orientation: kept, exif } = await sharp(picture).metadata();
        expect(kept ?? 1).toBe(orientation);
        expect(exif === undefined).toBe(orientation === 1);
        expect(picture.includes('MARKER')).toBe(false);
        expect((await pixels(picture)).equals(await pixels(file))).toBe(true);
        expect(strip(picture).equals(picture)).toBe(true);
      }
    },
  );
});

describe('an ICC profile', () => {
  /** Files with these bytes where the profile belongs, by format. */
  async function withProfile(profile: Buffer): Promise<Record<string, Buffer>> {
    const [jpeg, png, webp] = await Promise.all(
      (['jpeg', 'png', 'webp'] as const).map((format) => drawing().toFormat(format).toBuffer()),
    );
    const part = Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01', 'latin1'), profile]);
    const iccp = Buffer.concat([Buffer.from('icc\0\0'), deflateSync(profile)]);
    const header = Buffer.from('VP8X\x0a\0\0\0\x20\0\0\0\x3b\0\0\x2b\0\0', 'latin1');
    const extended = inserted(webp!, 12, header, riff('ICCP', profile));
    extended.writeUInt32LE(extended.length - 8, 4);
    return {
      JPEG: inserted(jpeg!, 2, segment(0xe2, part)),
      PNG: inserted(png!, 33, pngChunk('iCCP', iccp)),
      WebP: extended,
    };
  }

  const iccOf = async (picture: Buffer) => (await sharp(picture).metadata()).icc;

  it('stays, without what follows it', async () => {
    const icc = (await iccOf(files['marked JPEG']!))!;
    for (const [name, file] of Object.entries(
      await withProfile(Buffer.concat([icc, Buffer.from('MARKER')])),
    )) {
      const picture = strip(file);
      expect([name, await iccOf(picture)]).toEqual([name, icc]);
      expect([name, picture.includes('MARKER')]).toEqual([name, false]);
      expect([name, strip(picture).equals(picture)]).toEqual([name, true]);
    }
  });

  it.each([
    ['something else', Buffer.from(`<script>MARKER</script>${' '.repeat(200)}`)],
    ['shorter than its header', Buffer.from('MARKER')],
  ])('goes when it is %s', async (_, planted) => {
    for (const [name, file] of Object.entries(await withProfile(planted))) {
      const picture = strip(file);
      expect([name, picture.includes('MARKER')]).toEqual([name, false]);
      expect([name, await iccOf(picture)]).toEqual([name, undefined]);
      expect([name, (await pixels(picture)).length]).toEqual([name, (await pixels(file)).length]);
      expect([name, strip(picture).equals(picture)]).toEqual([name, true]);
    }
  });

  it('of an AVIF is treated the same way', async () => {
    const file = await drawing().withIccProfile('p3').avif().toBuffer();
    const icc = (await iccOf(file))!;
    expect(await iccOf(strip(file))).toEqual(icc);

    const at = file.indexOf('colrrICC') + 8;
    const shortened = Buffer.from(file);
    shortened.writeUInt32BE(icc.length - 6, at);
    shortened.write('MARKER', at + icc.length - 6);
    expect(strip(shortened).includes('MARKER')).toBe(false);
    expect(await iccOf(strip(shortened))).toEqual(shortened.subarray(at, at + icc.length - 6));

    const planted = Buffer.from(file);
    planted.write('<script>MARKER</script>'.padEnd(60), at);
    expect(strip(planted).includes('MARKER')).toBe(false);
    expect(await iccOf(strip(planted))).toBe(undefined);
    expect((await pixels(strip(planted))).length).toBe((await pixels(file)).length);
  });

  it('of several segments stays when none is missing', async () => {
    const icc = (await iccOf(files['marked JPEG']!))!;
    const long = Buffer.concat([icc, Buffer.alloc(150_000)]);
    long.writeUInt32BE(long.length, 0);
    const parts = [0, 1, 2].map((at) =>
      segment(
        0xe2,
        Buffer.concat([
          Buffer.from(`ICC_PROFILE\0${String.fromCharCode(at + 1)}\x03`, 'latin1'),
          long.subarray(at * 60_000, (at + 1) * 60_000),
        ]),
      ),
    );
    const jpeg = await drawing().jpeg().toBuffer();
    const shuffled = inserted(jpeg, 2, parts[2]!, parts[0]!, parts[1]!);
    expect(await iccOf(strip(shuffled))).toEqual(long);
    expect(await iccOf(strip(inserted(jpeg, 2, parts[0]!, parts[1]!)))).toBe(undefined);
    expect(await iccOf(strip(inserted(jpeg, 2, ...parts, parts[1]!)))).toBe(undefined);
  });
});

describe('of a JPEG', () => {
  it('nothing stays in segments, between them and after the end', async () => {
    const jpeg = files['marked JPEG']!;
    const sof = jpeg.indexOf('ffc0', 'hex');
    const planted = Buffer.concat([
      inserted(
        jpeg,
        sof,
        segment(0xe0, 'JFXX\0\x10MARKER'),
        segment(0xe1, 'http://ns.adobe.com/xap/1.0/\0MARKER'),
        segment(0xe2, 'MPF\0MARKER'),
        segment(0xed, 'Photoshop 3.0\x008BIM\x04\x04MARKER'),
        segment(0xee, 'Adobe\0d\0\0\0\0\x01MARKER'),
        segment(0xfe, 'MARKER'),
        segment(0xef, 'MARKER'),
        segment(0xdc, 'MARKER'),
        Buffer.from('MARKER between segments'),
      ),
      // The second picture of a multi-picture file.
      jpeg,
    ]);
    const picture = strip(planted);
    expect(picture.includes('MARKER')).toBe(false);
    expect(picture.includes('Adobe\0d')).toBe(true);
    expect(picture.indexOf('ffd8', 2, 'hex')).toBe(-1);
    expect((await pixels(picture)).equals(await pixels(jpeg))).toBe(true);
    expect((await sharp(picture).metadata()).icc).toEqual((await sharp(jpeg).metadata()).icc);
    expect(strip(picture).equals(picture)).toBe(true);
  });

  it('no table stays that no scan uses, and no scan behind the picture', async () => {
    const jpeg = files['baseline JPEG']!;
    const sos = jpeg.indexOf('ffda', 'hex');
    const table = segment(0xdb, Buffer.concat([Buffer.from([0]), Buffer.alloc(64, 'MARKER')]));
    const unread = [
      table,
      segment(0xc4, 'MARKER'),
      segment(0xdd, 'MARKER'),
      segment(0xcc, 'MARKER'),
      jpeg.subarray(sos, jpeg.length - 2),
    ];
    const behind = inserted(jpeg, jpeg.length - 2, ...unread);
    const planted = inserted(behind, jpeg.indexOf('ffdb', 'hex'), table, table);
    const picture = strip(planted);
    expect(picture.includes('MARKER')).toBe(false);
    expect(picture.indexOf('ffda', 'hex')).toBe(picture.lastIndexOf('ffda', undefined, 'hex'));
    expect((await pixels(picture)).equals(await pixels(jpeg))).toBe(true);
    expect(strip(picture).equals(picture)).toBe(true);
  });

  it('a number of lines before the picture does not stay', async () => {
    const jpeg = files['baseline JPEG']!;
    const picture = strip(inserted(jpeg, 2, segment(0xdc, '\0\x2c')));
    expect(picture.equals(strip(jpeg))).toBe(true);
  });

  it('a scan header that is longer than its components is refused', () => {
    const jpeg = files['baseline JPEG']!;
    const planted = inserted(jpeg, jpeg.length - 2, segment(0xda, '\x01\x01\0\0\x3f\0MARKER'));
    expect(() => strip(planted)).toThrow('A scan header of the JPEG has a wrong length.');
  });

  it('one JFIF stays of several, and the last Adobe segment, which decoders use', async () => {
    const cmyk = await drawing().toColourspace('cmyk').jpeg().toBuffer();
    const adobe = segment(0xee, 'Adobe\0d\0\0\0\0\0');
    const inverted = strip(inserted(cmyk, 2, adobe, adobe));
    expect(inverted.toString('latin1').split('Adobe')).toHaveLength(2);
    expect((await pixels(inverted)).equals(await pixels(cmyk))).toBe(true);
    const jpeg = files['baseline JPEG']!;
    const jfif = (version: string) => segment(0xe0, `JFIF\0${version}\0\0\x01\0\x01\0\0`);
    const [one, two] = [jfif('\x01\x02'), jfif('\x01\x01')];
    expect(strip(inserted(jpeg, 2, one, two)).equals(strip(inserted(jpeg, 2, one)))).toBe(true);
  });

  it('the JFIF header loses its thumbnail', async () => {
    const jpeg = files['baseline JPEG']!;
    const scan = jpeg.subarray(jpeg.indexOf('ffdb', 'hex'));
    const thumbnail = `JFIF\0\x01\x01\x01\0\x48\0\x48\x02\x01MARKER`;
    const picture = strip(Buffer.concat([jpeg.subarray(0, 2), segment(0xe0, thumbnail), scan]));
    expect(picture.subarray(2, 20).toString('hex')).toBe('ffe000104a46494600010101004800480000');
    expect(picture.includes('MARKER')).toBe(false);
    expect((await pixels(picture)).equals(await pixels(jpeg))).toBe(true);
  });
});

describe('of a PNG', () => {
  it('only chunks stay that matter to the pixels', async () => {
    const png = files['marked PNG']!;
    const planted = inserted(
      png,
      33,
      pngChunk('tEXt', Buffer.from('Comment\0MARKER')),
      zTxt('MARKER'),
      pngChunk('iTXt', Buffer.from('Comment\0\0\0\0\0MARKER')),
      pngChunk('tIME', Buffer.from('MARKER7')),
      pngChunk('prVt', Buffer.from('MARKER')),
      pngChunk('sBIT', Buffer.from('MARKER')),
      pngChunk('cHRM', Buffer.from('MARKER')),
      pngChunk('gAMA', Buffer.from('MK')),
      pngChunk('gAMA', Buffer.from([0, 0, 0xb1, 0x8f])),
    );
    const picture = strip(planted);
    expect(picture.includes('MARKER')).toBe(false);
    expect(picture.includes('zTXt')).toBe(false);
    expect(picture.includes('gAMA')).toBe(true);
    expect((await pixels(picture)).equals(await pixels(planted))).toBe(true);
  });

  it('the profile stays, and neither its name nor what hides behind it', async () => {
    const plain = await drawing().png().toBuffer();
    const { icc } = await sharp(files['marked PNG']).metadata();
    const data = Buffer.concat([
      Buffer.from('MARKER\0\0'),
      deflateSync(icc!, { level: 9 }),
      Buffer.from('MARKER'),
    ]);
    const picture = strip(inserted(plain, 33, pngChunk('iCCP', data)));
    expect(picture.includes('MARKER')).toBe(false);
    expect((await sharp(picture).metadata()).icc).toEqual(icc);
    const at = picture.indexOf('iCCP');
    const stored = picture.subarray(at + 9, at + 4 + picture.readUInt32BE(at - 4));
    expect(inflateSync(stored)).toEqual(icc);
  });

  it('one profile is read, also when it is damaged', async () => {
    const plain = await drawing().png().toBuffer();
    const { icc } = await sharp(files['marked PNG']).metadata();
    const good = pngChunk('iCCP', Buffer.concat([Buffer.from('icc\0\0'), deflateSync(icc!)]));
    const damaged = pngChunk('iCCP', Buffer.from('icc\0\0MARKER'));
    expect(strip(inserted(plain, 33, damaged, good)).equals(strip(plain))).toBe(true);
    expect(await sharp(strip(inserted(plain, 33, good, damaged))).metadata()).toMatchObject({
      icc,
    });
  });

  it('a profile that is a bomb does not stay', async () => {
    const bomb = Buffer.concat([Buffer.from('icc\0\0'), deflateSync(Buffer.alloc(200_000_000))]);
    const before = process.memoryUsage.rss();
    const picture = strip(inserted(await drawing().png().toBuffer(), 33, pngChunk('iCCP', bomb)));
    expect(process.memoryUsage.rss() - before).toBeLessThan(60_000_000);
    expect(picture.includes('iCCP')).toBe(false);
  });

  it('the first picture stays of an animation', async () => {
    const control = pngChunk('acTL', Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]));
    const frame = pngChunk('fcTL', Buffer.alloc(26));
    const still = files.PNG!;
    const animated = inserted(still, 33, control, frame);
    const more = [frame, pngChunk('fdAT', Buffer.from('\0\0\0\x01MARKER'))];
    const { facts, picture } = stripMetadata(
      inserted(animated, animated.length - 12, ...more),
      limits,
    );
    expect(picture.equals(strip(still))).toBe(true);
    expect(facts.frames).toBe(1);
  });

  it('no chunk stays twice, or behind the pixels', async () => {
    const png = await drawing().png().toBuffer();
    const density = pngChunk('pHYs', Buffer.from('MARKER789'));
    const suggestion = pngChunk('tRNS', Buffer.from('MARKER'));
    const late = [suggestion, pngChunk('IDAT', Buffer.from('MARKER'))];
    const first = pngChunk('pHYs', Buffer.alloc(9, 1));
    const picture = strip(inserted(inserted(png, png.length - 12, ...late), 33, first, density));
    expect(picture.includes('MARKER')).toBe(false);
    expect(picture.includes(first)).toBe(true);
    expect((await pixels(picture)).equals(await pixels(png))).toBe(true);
  });

  it('a palette stays that colours the pixels, and none that is only suggested', async () => {
    const colours = pngChunk('PLTE', Buffer.from('MARKER'.repeat(100)));
    expect(strip(inserted(files.PNG!, 33, colours)).includes('MARKER')).toBe(false);
    const indexed = await drawing().png({ palette: true }).toBuffer();
    expect(strip(indexed).includes('PLTE')).toBe(true);
    expect((await pixels(strip(indexed))).equals(await pixels(indexed))).toBe(true);
  });
});

describe('of a GIF', () => {
  it('neither comments nor text nor data of applications stay', async () => {
    const gif = await makeAnimation({ format: 'gif' });
    const firstBlock = 13 + 3 * 2 ** ((gif[10]! & 7) + 1);
    const planted = inserted(
      gif,
      gif[10]! & 0x80 ? firstBlock : 13,
      gifExtension(0xfe, 'MARKER'),
      gifExtension(0xff, 'XMP DataXMP', 'MARKER'),
      gifExtension(0xff, 'ICCRGBG1012', 'MARKER'),
      gifExtension(0x01, '\0'.repeat(12), 'MARKER'),
      gifExtension(0xff, 'NETSCAPE2.0', '\x01\x03\0', 'MARKER'),
      gifExtension(0xf9, '\0\0\0\0', 'MARKER'),
    );
    const picture = strip(planted);
    expect(picture.includes('MARKER')).toBe(false);
    expect((await pixels(picture)).equals(await pixels(gif))).toBe(true);
    expect((await sharp(picture, { animated: true }).metadata()).loop).toBe(3);
  });
});

describe('of a WebP', () => {
  it('no chunk stays that decoders do not read, at the top or in a frame', async () => {
    const webp = await makeAnimation({ format: 'webp' });
    const at = webp.indexOf('ANMF');
    const end = at + 8 + webp.readUInt32LE(at + 4);
    const frame = riff('ANMF', Buffer.concat([webp.subarray(at + 8, end), riff('JUNK', 'MARKER')]));
    const loop = webp.indexOf('ANIM');
    const parts = [
      webp.subarray(0, loop),
      riff('ANIM', Buffer.concat([webp.subarray(loop + 8, at), Buffer.from('MARKER')])),
      ...[frame, riff('META', 'MARKER '), webp.subarray(end)],
    ];
    const planted = Buffer.concat(parts);
    planted.writeUInt32LE(planted.length - 8, 4);
    const picture = strip(planted);
    expect(picture.includes('MARKER')).toBe(false);
    expect(picture.readUInt32LE(4)).toBe(picture.length - 8);
    expect((await pixels(picture)).equals(await pixels(webp))).toBe(true);
    expect(strip(picture).equals(picture)).toBe(true);
  });
});

describe('of a WebP that is not animated', () => {
  const extended = (flags: number, ...chunks: Buffer[]) => {
    const header = Buffer.from(`VP8X\x0a\0\0\0${String.fromCharCode(flags)}\0\0\0`, 'latin1');
    const size = Buffer.from('\x3b\0\0\x2b\0\0', 'latin1');
    const file = Buffer.concat([Buffer.from('RIFF\0\0\0\0WEBP'), header, size, ...chunks]);
    file.writeUInt32LE(file.length - 8, 4);
    return file;
  };

  it('a profile that is not announced goes, as decoders pass over it', async () => {
    const vp8 = (await drawing().webp().toBuffer()).subarray(12);
    const { icc } = await sharp(files['marked JPEG']).metadata();
    const file = extended(0, riff('ICCP', icc!), vp8);
    const picture = strip(file);
    expect(picture.includes('ICCP')).toBe(false);
    expect((await pixels(picture)).equals(await pixels(file))).toBe(true);
  });

  it('neither a loop nor alpha stays that belongs to no picture', async () => {
    const vp8 = (await drawing().webp().toBuffer()).subarray(12);
    const vp8l = (await drawing().webp({ lossless: true }).toBuffer()).subarray(12);
    const [alpha, loop] = [riff('ALPH', 'MARKER'), riff('ANIM', 'MARKER')];
    for (const file of [
      extended(0, alpha, loop, vp8, alpha),
      extended(0x10, loop, alpha, vp8l),
      extended(0x10, vp8, alpha),
    ]) {
      const picture = strip(file);
      expect(picture.includes('MARKER')).toBe(false);
      const { length } = await sharp(picture).removeAlpha().raw().toBuffer();
      expect(length).toBe(60 * 44 * 3);
      expect(strip(picture).equals(picture)).toBe(true);
    }
  });

  it('alpha stays that does', async () => {
    const file = await drawing({ alpha: true }).webp().toBuffer();
    expect(file.includes('ALPH')).toBe(true);
    expect((await pixels(strip(file))).equals(await pixels(file))).toBe(true);
  });
});

describe('of a HEIC or an AVIF', () => {
  it.each(['marked HEIC', 'marked AVIF'])(
    'no box stays that decoding does not need: %s',
    (name) => {
      const box = (type: string, text: string) => {
        const bytes = Buffer.from(`\0\0\0\0${type}${text}`, 'latin1');
        bytes.writeUInt32BE(bytes.length, 0);
        return bytes;
      };
      const file = files[name]!;
      const tail = ['uuid', 'free', 'moov', 'mdat', 'abcd'].map((type) => box(type, 'MARKER'));
      const picture = strip(Buffer.concat([file, ...tail, Buffer.from('MARKER')]));
      expect(picture.includes('MARKER')).toBe(false);
      expect(picture.length).toBe(file.length + 5 * 14);
      expect(strip(picture).equals(picture)).toBe(true);
    },
  );

  it.each(['marked HEIC', 'marked AVIF'])('no brand stays that nobody knows: %s', async (name) => {
    const planted = Buffer.from(files[name]!);
    const last = planted.readUInt32BE(0) - 4;
    expect(last).toBeGreaterThan(16);
    planted.write('MARK', 12);
    planted.write('PLOT', last);
    const picture = strip(planted);
    expect(picture.toString('latin1', 12, 16)).toBe('\0\0\0\0');
    expect(picture.toString('latin1', last, last + 4)).toBe('mif1');
    expect((await pixels(picture)).equals(await pixels(strip(files[name]!)))).toBe(true);
  });

  it('no brand stays of a sequence, as its film does not', async () => {
    const avif = files['marked AVIF']!;
    const brands = Buffer.from('avis\0\0\0\0avismsf1avifmif1', 'latin1');
    const film = boxOf('moov', Buffer.from('MARKER'));
    // Places are told from the beginning of the file: the first box keeps its length.
    const room = avif.readUInt32BE(0) - 8;
    const sequence = Buffer.concat([
      ...[avif.subarray(0, 8), brands.subarray(0, room), avif.subarray(8 + room), film],
    ]);
    const picture = strip(sequence);
    expect(picture.toString('latin1', 8, 20)).toBe('avif\0\0\0\0avif');
    expect(/avis|msf1|moov|MARKER/.test(picture.toString('latin1'))).toBe(false);
    expect((await pixels(picture)).equals(await pixels(avif))).toBe(true);
    expect(strip(picture).equals(picture)).toBe(true);
  });

  it('the kind of an auxiliary picture stays, without what follows it', async () => {
    const file = await drawing({ alpha: true }).avif().toBuffer();
    const at = file.indexOf('auxC') + 8;
    expect(file.toString('latin1', at, at + 8)).toBe('urn:mpeg');
    const picture = strip(file);
    expect(picture.equals(file)).toBe(true);
    const planted = Buffer.from(file);
    planted.write('urn:x:MARKER', at);
    expect(strip(planted).includes('MARKER')).toBe(false);
  });

  it.each(['marked HEIC', 'marked AVIF'])('metadata is not even listed: %s', async (name) => {
    expect((await sharp(files[name]).metadata()).exif).toBeDefined();
    const picture = strip(files[name]!);
    const { exif, xmp } = await sharp(picture).metadata();
    expect({ exif, xmp }).toEqual({ exif: undefined, xmp: undefined });
    expect(/Exif|mime|cdsc|thmb/.test(picture.toString('latin1'))).toBe(false);
  });

  it.each(['av01', 'hvc1', 'iden', 'iovl', 'grid'])(
    'no picture stays that nothing refers to: %s',
    async (type) => {
      const primary = await avifPicture();
      await expectGone({ items: [primary, { ...primary, type, data: MARKERS }] });
    },
  );

  it.each([
    ['a thumbnail', 'thmb', []],
    ['a depth map', 'auxl', ['urn:mpeg:mpegB:cicp:systems:auxiliary:depth']],
    ['a gain map', 'auxl', ['urn:com:apple:photo:2020:aux:hdrgainmap']],
    ['an alpha channel of something else', 'xxxx', [ALPHA_TYPE]],
  ])('no picture stays that decoding does not need: %s', async (_, type, kinds) => {
    const primary = await avifPicture();
    const properties = [...primary.properties, ...kinds.map(auxC)];
    const other = { ...primary, data: MARKERS, properties };
    await expectGone({ items: [primary, other], references: [reference(type, 2, 1)] });
  });

  it('no tone-mapped picture stays beside the one that it is made from', async () => {
    const primary = await avifPicture();
    const map = { ...primary, data: MARKERS };
    const items = [primary, map, { type: 'tmap', data: MARKERS }];
    await expectGone({ items, references: [reference('dimg', 3, 1, 2)] });
  });

  it('one alpha channel stays', async () => {
    const primary = await avifPicture();
    const alpha = { ...primary, properties: [...primary.properties, auxC(ALPHA_TYPE)] };
    const items = [primary, alpha, { ...alpha, data: MARKERS }];
    const references = [reference('auxl', 2, 1), reference('auxl', 3, 1)];
    const picture = strip(heifFile({ items, references }));
    expect(picture.includes('MARKER')).toBe(false);
    expect(await sharp(picture).metadata()).toMatchObject({ hasAlpha: true });
    const alone = heifFile({ items: [primary, alpha], references: references.slice(0, 1) });
    expect((await pixels(picture)).equals(await pixels(alone))).toBe(true);
    expect(strip(picture).equals(picture)).toBe(true);
  });

  it('the tiles of a grid stay, and nothing behind its description', async () => {
    const tile = await avifPicture();
    const properties = tile.properties.filter((property) => !property.includes('ispe'));
    const size = fullBoxOf('ispe', 0, 0, uint(4, 128), uint(4, 64));
    const data = Buffer.concat([gridOf(1, 2, 128, 64), MARKERS]);
    const grid = { type: 'grid', data, properties: [size, ...properties.slice(1)] };
    const tiles = [tile, tile].map((each) => ({ ...each, isHidden: true }));
    const references = [reference('dimg', 1, 2, 3)];
    await expectGone({ items: [grid, ...tiles], references });
    expect((await pixels(strip(heifFile({ items: [grid, ...tiles], references })))).length).toBe(
      128 * 64 * 3,
    );
  });

  it('the numbers of items spell nothing', async () => {
    const id = Buffer.from('MA').readUInt16BE();
    await expectGone({ items: [{ ...(await avifPicture()), id }] }, /MA/);
  });

  it.each(['pitm', 'iloc', 'ipma', 'infe'] as const)(
    'nothing stays behind the fields of %s',
    async (type) => {
      await expectGone({ items: [await avifPicture()], tails: { [type]: MARKERS } });
    },
  );

  it('the length stays whatever is left over', async () => {
    const primary = await avifPicture();
    for (let length = 1; length <= 17; length += 1) {
      const file = heifFile({ items: [primary], tails: { iloc: Buffer.alloc(length, 0xff) } });
      const picture = strip(file);
      expect(boxNamed(picture, 'meta').length).toBe(boxNamed(file, 'meta').length);
      expect(boxNamed(picture, 'iloc').length).toBe(boxNamed(file, 'iloc').length - length);
      expect(
        boxNamed(picture, 'hdlr')
          .subarray(20)
          .every((byte) => byte === 0),
      ).toBe(true);
      expect((await pixels(picture)).equals(await pixels(file))).toBe(true);
      expect(strip(picture).equals(picture)).toBe(true);
    }
  });

  it('a handler that is too short for what it is to hold is refused', async () => {
    const handler = Buffer.from('\0\0\0\0pict\0\0\0', 'latin1');
    const file = heifFile({ items: [await avifPicture()], handler });
    expect(() => strip(file)).toThrow('A box is shorter than what it holds.');
  });

  it.each([
    ['behind its numbers', boxOf('thmb', uint(2, 2), uint(2, 1), uint(2, 1), MARKERS)],
    ['of an unknown kind', boxOf('PLOT', uint(2, 1), uint(2, 1), uint(2, 2), MARKERS)],
    ['to items that are not there', boxOf('auxl', uint(2, 1), uint(2, 3), Buffer.from('MARKER'))],
    [
      'from an item that is not there',
      boxOf('dimg', Buffer.from('MA'), uint(2, 2), Buffer.from('RKER')),
    ],
  ])('nothing stays in a reference %s', async (_, planted) => {
    const primary = await avifPicture();
    const items = [primary, { ...primary }];
    await expectGone({ items, references: [planted] }, /RKER|PLOT/);
  });

  it.each([
    [
      'of another item',
      (own: Buffer[]) => [own, [boxOf('av1C', own[0]!.subarray(8, 12), MARKERS)]],
    ],
    ['of another codec', (own: Buffer[]) => [[...own, boxOf('hvcC', Buffer.alloc(23), MARKERS)]]],
    [
      'a second time',
      (own: Buffer[]) => [[...own, fullBoxOf('ispe', 0, 0, MARKERS.subarray(0, 8))]],
    ],
    [
      'with more channels than there are',
      (own: Buffer[]) => [
        [
          ...own.filter((box) => !box.includes('pixi')),
          fullBoxOf('pixi', 0, 0, uint(1, 255), MARKERS.subarray(0, 255)),
        ],
      ],
    ],
    [
      'that tells no numbers',
      (own: Buffer[]) => [[...own, boxOf('clap', MARKERS.subarray(0, 32))]],
    ],
    ['that tells no light', (own: Buffer[]) => [[...own, boxOf('mdcv', MARKERS.subarray(0, 24))]]],
  ])('no property stays %s', async (_, planted) => {
    const primary = await avifPicture();
    const [own, others] = planted(primary.properties);
    const items = [{ ...primary, properties: own! }];
    if (others) items.push({ ...primary, type: 'free', properties: others });
    await expectGone({ items });
  });

  it('the handler says what the file holds and nothing else', async () => {
    const handler = Buffer.from('MARKpictMARKERMARKERMARKER\0');
    await expectGone({ items: [await avifPicture()], handler }, /MARK/);
  });

  it('the settings of HEVC keep sets of parameters alone', async () => {
    const heic = files.HEIC!;
    const settings = boxNamed(heic, 'hvcC');
    const message = Buffer.concat([Buffer.from('4e0105ff', 'hex'), MARKERS.subarray(0, 200)]);
    const array = Buffer.concat([
      Buffer.from([0x27]),
      uint(2, 1),
      uint(2, message.length),
      message,
    ]);
    const planted = Buffer.concat([settings.subarray(8), array, MARKERS]);
    planted.writeUInt8(planted.readUInt8(22) + 1, 22);
    const size = fullBoxOf('ispe', 0, 0, uint(4, 64), uint(4, 64));
    const fileWith = (hvcC: Buffer) =>
      heifFile({
        brand: 'heic',
        items: [{ type: 'hvc1', data: MARKERS.subarray(0, 6), properties: [size, hvcC] }],
      });

    const picture = strip(fileWith(boxOf('hvcC', planted)));
    expect(boxNamed(picture, 'hvcC')).toEqual(settings);
    expect(picture.toString('latin1').split('MARKER').length - 1).toBe(1);
    expect(strip(picture).equals(picture)).toBe(true);
    // One that is malformed goes as a whole.
    expect(
      strip(fileWith(boxOf('hvcC', planted.subarray(0, -MARKERS.length - 1)))).includes('hvcC'),
    ).toBe(false);
  });

  it.each([
    ['metadata', 0x2a],
    ['padding', 0x7a],
    ['a unit that tells no size', 0x0c],
  ])('the settings of AV1 keep the sequence header alone, not %s', async (_, header) => {
    const primary = await avifPicture();
    const settings = primary.properties.find((property) => property.includes('av1C'))!;
    // What a temporal unit begins with is an empty delimiter, then the sequence header.
    const units = primary.data.subarray(primary.data.indexOf('0a', 'hex'));
    const sequence = units.subarray(0, 2 + units.readUInt8(1));
    const unit = Buffer.concat([Buffer.from([header, 100]), MARKERS.subarray(0, 100)]);
    const av1C = boxOf('av1C', settings.subarray(8, 12), unit, sequence, unit);
    const properties = primary.properties.map((property) =>
      property === settings ? av1C : property,
    );
    const file = heifFile({ items: [{ ...primary, properties }] });
    const picture = strip(file);
    expect(picture.includes('MARKER')).toBe(false);
    const kept = header === 0x0c ? [] : [sequence];
    expect(boxNamed(picture, 'av1C')).toEqual(boxOf('av1C', settings.subarray(8, 12), ...kept));
    const plain = heifFile({ items: [primary] });
    expect((await pixels(picture)).equals(await pixels(plain))).toBe(true);
    expect(strip(picture).equals(picture)).toBe(true);
  });

  it('metadata that lies in the bytes of a picture is refused', () => {
    const heic = Buffer.from(files['marked HEIC']!);
    const exif = placeOf(heic, (bytes) => bytes.includes('II*\0'));
    const tile = heic.readUInt32BE(placeOf(heic, () => true));
    heic.writeUInt32BE(tile + 4, exif);
    expect(() => strip(heic)).toThrow('A picture overlaps metadata.');
  });

  /** Where the `iloc` box tells of bytes in the `mdat` box that begin as is wanted. */
  function placeOf(file: Buffer, begins: (bytes: Buffer) => boolean): number {
    const iloc = file.indexOf('iloc');
    const end = iloc - 4 + file.readUInt32BE(iloc - 4);
    for (let at = iloc + 8; at + 4 <= end; at += 2) {
      const place = file.readUInt32BE(at);
      const inData = place > file.indexOf('mdat') && place < file.length;
      if (inData && begins(file.subarray(place, place + 14))) return at;
    }
    throw new Error('no such item');
  }

  /** An item of 64 × 64 pixels. */
  async function avifPicture() {
    return pictureOf(await drawing({ width: 64, height: 64 }).avif({ effort: 0 }).toBuffer());
  }

  /** What is planted goes, and the rest is decoded as if it had never been there. */
  async function expectGone(parts: HeifFileParts, planted = /MARKER/) {
    const file = heifFile(parts);
    expect(file.toString('latin1')).toMatch(planted);
    const picture = strip(file);
    expect(picture.length).toBe(file.length);
    expect(picture.toString('latin1')).not.toMatch(planted);
    expect((await pixels(picture)).length).toBeGreaterThan(0);
    expect(strip(picture).equals(picture)).toBe(true);
  }
});

function auxC(kind: string): Buffer {
  return fullBoxOf('auxC', 0, 0, Buffer.from(`${kind}\0`));
}

/** Where the items of a file lie that are not in its `meta` box. */
function placesOf(file: Buffer) {
  const bytes = boxNamed(file, 'meta');
  const extents = [...readMeta(bytes, 8).items.values()].flatMap((item) => item.extents);
  return extents.filter(({ source }) => source === 'file');
}
