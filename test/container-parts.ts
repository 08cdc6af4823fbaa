import { crc32, deflateSync } from 'node:zlib';

/** Parts of picture files, to put files together that no encoder writes. */

export function pngChunk(type: string, data: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const bytes = Buffer.alloc(content.length + 8);
  bytes.writeUInt32BE(data.length, 0);
  content.copy(bytes, 4);
  bytes.writeUInt32BE(crc32(content), content.length + 4);
  return bytes;
}

export function zTxt(text: string): Buffer {
  return pngChunk('zTXt', Buffer.concat([Buffer.from('Comment\0\0'), deflateSync(text)]));
}

/** A JPEG's segment. */
export function segment(marker: number, content: Buffer | string): Buffer {
  const data = Buffer.from(content as string, 'latin1');
  const header = Buffer.from([0xff, marker, 0, 0]);
  header.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([header, data]);
}

/** A chunk of a WebP. */
export function riff(type: string, content: Buffer | string): Buffer {
  const data = Buffer.from(content as string, 'latin1');
  const header = Buffer.from(`${type}\0\0\0\0`, 'latin1');
  header.writeUInt32LE(data.length, 4);
  return Buffer.concat([header, data, Buffer.alloc(data.length % 2)]);
}

/** An extension of a GIF, with blocks of at most 255 bytes each: GIF89a sections 23 to 26. */
export function gifExtension(label: number, ...blocks: string[]): Buffer {
  const sized = blocks.map((block) => String.fromCharCode(block.length) + block);
  return Buffer.from(`!${String.fromCharCode(label)}${sized.join('')}\0`, 'latin1');
}

export function inserted(file: Buffer, at: number, ...parts: Buffer[]): Buffer {
  return Buffer.concat([file.subarray(0, at), ...parts, file.subarray(at)]);
}
