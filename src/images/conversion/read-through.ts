import { open } from 'node:fs/promises';

/** How much is read at once, in bytes. */
const READ_BYTES = 256 * 1024;

/**
 * Shows all bytes of a file, in order. The buffer is read into again after each: a stream has a new
 * one for each read, and those of a picture make the collector run, which took longer than hashing.
 *
 * @throws what `see` throws, and the signal's reason
 */
export async function readThrough(
  path: string,
  signal: AbortSignal,
  see: (chunk: Buffer) => void,
): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const file = await open(path);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES);
      if (bytesRead === 0) return;
      see(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
