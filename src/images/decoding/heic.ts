import { createRequire } from 'node:module';
import sharp, { type CreateRaw } from 'sharp';

import { toPixels, within } from './pixels.js';
import { DecodeRefused, VARIANTS } from './variants.js';

/** What is used of libheif's C API, as WebAssembly offers it. */
interface Libheif {
  heif_context_alloc(): object;
  heif_context_read_from_memory(context: object, file: Uint8Array): LibheifError;
  heif_js_context_get_primary_image_handle(context: object): object | LibheifError;
  heif_image_handle_get_width(handle: object): number;
  heif_image_handle_get_height(handle: object): number;
  heif_image_handle_has_alpha_channel(handle: object): number;
  heif_image_handle_is_premultiplied_alpha(handle: object): number;
  heif_js_decode_image2(handle: object, space: object, chroma: object): Decoded | LibheifError;
  heif_colorspace: Record<'heif_colorspace_RGB', object>;
  heif_chroma: Record<'heif_chroma_interleaved_RGB' | 'heif_chroma_interleaved_RGBA', object>;
}

interface LibheifError {
  /** 0 is success. */
  code: { value: number };
  message: string;
}

interface Decoded {
  /** A single one, as the pixels are interleaved; `data` is a view of WebAssembly's memory. */
  channels: [{ width: number; height: number; stride: number; data: Uint8Array }];
}

/** A whole picture; its data keep WebAssembly's memory alive. */
interface RawPixels {
  data: Uint8Array;
  raw: CreateRaw;
}

type CreateLibheif = (options: { print: () => void; printErr: () => void }) => Libheif;

const require = createRequire(import.meta.url);

/**
 * Decodes the primary picture of a HEIC file, upright, to the size of the large variant.
 *
 * By libheif and libde265 as WebAssembly, as sharp comes without a decoder of HEVC. The colours
 * stay in the picture's own colour space.
 *
 * @throws DecodeRefused `undecodable`, `too-many-pixels`
 */
export async function decodeHeic(picture: Buffer, maxPixels: number) {
  const { data, raw } = decodeWhole(picture, maxPixels);
  const pixels = await toPixels(sharp(data, { raw }).resize(within(VARIANTS.large)));
  return { pixels, size: { width: raw.width, height: raw.height } };
}

function decodeWhole(picture: Buffer, maxPixels: number): RawPixels {
  const libheif = createLibheif();
  const context = libheif.heif_context_alloc();
  successful(libheif.heif_context_read_from_memory(context, picture));
  const handle = successful(libheif.heif_js_context_get_primary_image_handle(context));
  const width = libheif.heif_image_handle_get_width(handle);
  const height = libheif.heif_image_handle_get_height(handle);
  if (width * height > maxPixels) {
    throw new DecodeRefused('too-many-pixels', `The picture has ${width} × ${height} pixels.`);
  }
  const hasAlpha = libheif.heif_image_handle_has_alpha_channel(handle) !== 0;
  const { heif_chroma_interleaved_RGB: rgb, heif_chroma_interleaved_RGBA: rgba } =
    libheif.heif_chroma;
  const space = libheif.heif_colorspace.heif_colorspace_RGB;
  const decoded = libheif.heif_js_decode_image2(handle, space, hasAlpha ? rgba : rgb);
  const premultiplied = libheif.heif_image_handle_is_premultiplied_alpha(handle) !== 0;
  return rawPixels(successful(decoded), { channels: hasAlpha ? 4 : 3, premultiplied });
}

/**
 * A new instance for each picture: what a hostile file does to its memory ends with that file, and
 * the memory, which WebAssembly can only let grow, is given back.
 */
function createLibheif(): Libheif {
  // Loaded only once a HEIC comes: it takes 20 MB.
  const create = require('libheif-js/libheif-wasm/libheif-bundle.js') as CreateLibheif;
  const silent = () => undefined;
  return create({ print: silent, printErr: silent });
}

function successful<T extends object>(outcome: T | LibheifError): T {
  if ('code' in outcome && outcome.code.value !== 0) throw new Error(outcome.message);
  return outcome as T;
}

/** Each row without the bytes that may fill it up. */
function rawPixels(
  { channels: [plane] }: Decoded,
  kind: { channels: 3 | 4; premultiplied: boolean },
): RawPixels {
  const { width, height, stride, data } = plane;
  const raw = { width, height, ...kind };
  const rowBytes = width * kind.channels;
  if (stride === rowBytes) return { data, raw };
  const rows = Buffer.allocUnsafe(rowBytes * height);
  for (let row = 0; row < height; row += 1) {
    rows.set(data.subarray(row * stride, row * stride + rowBytes), row * rowBytes);
  }
  return { data: rows, raw };
}
