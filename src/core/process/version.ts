import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The version of this build, as in package.json. */
export const VERSION = (
  JSON.parse(readFileSync(findPackageJson(import.meta.dirname), 'utf8')) as { version: string }
).version;

function findPackageJson(folder: string): string {
  const path = join(folder, 'package.json');
  try {
    readFileSync(path);
    return path;
  } catch {
    return findPackageJson(join(folder, '..'));
  }
}
