import { deflateSync } from 'node:zlib';
import { pngChunk } from './container-parts.js';

/** Small files that ask for a great deal. Each is well-formed as far as its format goes. */

export const MEBIBYTE = 1024 * 1024;
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** A PNG of one bit a pixel, all of them white, whose rows really are there. */
export function widePng(width: number, height: number): Buffer {
  const row = Buffer.alloc(1 + Math.ceil(width / 8), 0xff);
  row[0] = 0;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const rows = deflateSync(Buffer.concat(Array<Buffer>(height).fill(row)), { level: 9 });
  return png(pngChunk('IHDR', header), pngChunk('IDAT', rows));
}

/** A sound PNG with a chunk that unpacks to many times its size. */
export function pngWith(
  type: 'zTXt' | 'iTXt' | 'iCCP',
  sound: Buffer,
  unpackedBytes: number,
): Buffer {
  const packed = deflateSync(Buffer.alloc(unpackedBytes), { level: 9 });
  const head = { zTXt: 'Comment\0\0', iTXt: 'Comment\0\u0001\0\0\0', iCCP: 'profile\0\0' }[type];
  const bomb = pngChunk(type, Buffer.concat([Buffer.from(head, 'latin1'), packed]));
  const afterHeader = PNG_SIGNATURE.length + 25;
  return Buffer.concat([sound.subarray(0, afterHeader), bomb, sound.subarray(afterHeader)]);
}

/** A JPEG whose frame header claims another size than its picture has. */
export function jpegClaiming(sound: Buffer, width: number, height: number): Buffer {
  const file = Buffer.from(sound);
  const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
  file.writeUInt16BE(height, frame + 5);
  file.writeUInt16BE(width, frame + 7);
  return file;
}

/** A GIF of frames of one pixel each, on a canvas of its own size. */
export function gifOfFrames(frames: number, width = 1, height = 1): Buffer {
  const canvas = Buffer.from('GIF89a\0\0\0\0\u0080\0\0\0\0\0\xff\xff\xff', 'latin1');
  canvas.writeUInt16LE(width, 6);
  canvas.writeUInt16LE(height, 8);
  const control = '!\xf9\u0004\0\u000a\0\0\0';
  const frame = `${control},\0\0\0\0\u0001\0\u0001\0\0\u0002\u0002D\u0001\0`;
  return Buffer.concat([canvas, Buffer.from(frame.repeat(frames), 'latin1'), Buffer.from(';')]);
}

/** A WebP whose extended header claims a canvas. */
export function webpClaiming(width: number, height: number): Buffer {
  const file = Buffer.alloc(30);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(22, 4);
  file.write('WEBPVP8X', 8, 'latin1');
  file.writeUInt32LE(10, 16);
  file.writeUIntLE(width - 1, 24, 3);
  file.writeUIntLE(height - 1, 27, 3);
  return file;
}

function png(...chunks: Buffer[]): Buffer {
  return Buffer.concat([PNG_SIGNATURE, ...chunks, pngChunk('IEND', Buffer.alloc(0))]);
}
