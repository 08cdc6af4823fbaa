import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type MadeFile } from './variants.js';

/** Writes a file and describes its bytes. */
export async function writeMadeFile(
  folder: string,
  name: string,
  content: Uint8Array,
): Promise<Omit<MadeFile, 'width' | 'height'>> {
  const path = join(folder, name);
  await writeFile(path, content);
  const checksum = createHash('sha256').update(content).digest('hex');
  return { path, bytes: content.byteLength, checksum };
}
