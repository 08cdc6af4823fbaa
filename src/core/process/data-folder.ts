import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { CannotStart } from './cannot-start.js';

/** Of folders below `DATA_DIR`: for this user alone. */
export const FOLDER_MODE = 0o700;

/**
 * Makes a folder below `DATA_DIR` that is for this user alone, unless it is there.
 *
 * @throws CannotStart when there can be none, or nothing could be written to it
 */
export async function makeDataFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: FOLDER_MODE });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CannotStart(`DATA_DIR cannot be used: ${(error as Error).message}`);
  }
}
