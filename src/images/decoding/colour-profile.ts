import { crc32, deflateSync } from 'node:zlib';
import sharp, { type Metadata } from 'sharp';
import { readMeta } from '../containers/heif-meta.js';
import { namedPrimaries } from '../containers/heif-properties.js';
import { childBoxes } from '../containers/iso-boxes.js';
import { fromRaw, type Pixels, toPixels } from './pixels.js';

/**
 * The colours of HEIC and AVIF, where decoding leaves pixels in the picture's own colour space.
 *
 * A `colr` box says which (ISO/IEC 14496-12, 12.1.5): with an ICC profile, or by code points.
 */

/** Display P3's primaries in ITU-T H.273, table 2. */
const P3_PRIMARIES = 12;
/** Length, type, size, depth, colour type and so on, CRC: IHDR always comes first. */
const PNG_HEADER_BYTES = 8 + 25;

/** Turns pixels of another RGB colour space into sRGB. */
export async function convertToSrgb(pixels: Pixels, profile: Buffer): Promise<Pixels> {
  // sharp takes an input's profile from files only; a PNG that is not compressed costs least.
  const png = await fromRaw(pixels).png({ compressionLevel: 0 }).toBuffer();
  const profiled = Buffer.concat([
    png.subarray(0, PNG_HEADER_BYTES),
    iccpChunk(profile),
    png.subarray(PNG_HEADER_BYTES),
  ]);
  return toPixels(sharp(profiled, { sequentialRead: true, limitInputPixels: false }));
}

/** The ICC profile in a file; undefined when it has none, or one of another kind than RGB. */
export function attachedProfile({ icc }: Metadata): Buffer | undefined {
  const colourSpaceAt = 16;
  return icc?.toString('latin1', colourSpaceAt, colourSpaceAt + 4) === 'RGB ' ? icc : undefined;
}

/**
 * The profile of a colour space that is named by its code point; undefined for those taken as
 * sRGB. Those are nearly all: only P3 is used by cameras beside it. HDR is not tone-mapped.
 */
export async function namedProfile(picture: Buffer): Promise<Buffer | undefined> {
  return primariesOf(picture) === P3_PRIMARIES ? displayP3() : undefined;
}

/** Of the primary picture, or of the tiles that it is put together from. */
function primariesOf(picture: Buffer): number | undefined {
  const boxes = childBoxes(picture, 0, picture.length);
  const box = boxes.find(({ type }) => type === 'meta');
  if (!box) return undefined;
  const bytes = picture.subarray(box.start, box.end);
  const { primary, items } = readMeta(bytes, box.body - box.start);
  const [tile] = primary.tiles.flatMap((id) => items.get(id) ?? []);
  return [primary, tile]
    .flatMap((item) => item?.properties ?? [])
    .filter(({ type }) => type === 'colr')
    .map(({ body, end }) => namedPrimaries(bytes.subarray(body, end)))
    .find((primaries) => primaries !== undefined);
}

/** The one that comes with libvips. */
async function displayP3(): Promise<Buffer | undefined> {
  const pixel = sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } });
  const { icc } = await sharp(await pixel.withIccProfile('p3').png().toBuffer()).metadata();
  return icc;
}

/** PNG specification (third edition), 11.3.2.3. */
function iccpChunk(profile: Buffer): Buffer {
  const name = Buffer.from('icc\0\0', 'latin1');
  const body = Buffer.concat([Buffer.from('iCCP'), name, deflateSync(profile)]);
  const chunk = Buffer.alloc(4 + body.length + 4);
  chunk.writeUInt32BE(body.length - 4, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), 4 + body.length);
  return chunk;
}
