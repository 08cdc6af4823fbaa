import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';

/**
 * Builds what has changed. Each state of the sources has a folder of its own, `dist/<hash>`, that
 * appears whole and never changes: what runs from one is not disturbed by the next build, and builds
 * may run side by side. `dist/current` leads to the last one.
 */

export const PROJECT = resolve(import.meta.dirname, '..');
export const SOURCE_FOLDERS = ['src', 'migrations'];

const DIST = join(PROJECT, 'dist');
const CURRENT = join(DIST, 'current');
const NEST = join(PROJECT, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
const SETTINGS = /^(package-lock\.json|tsconfig.*\.json|\.swcrc|nest-cli\.json)$/;
const HASH_LENGTH = 16;
const BUILD = /^[0-9a-f]{16}$/;
const UNFINISHED = '.new-';
const USER_MARK = '.used-by-';
const KEPT_BUILDS = 10;
const ABANDONED_AFTER_MS = 3_600_000;

/** The compiler's complaint; it has been given all there is to say. */
export class BuildFailed extends Error {
  override readonly name = 'BuildFailed';
}

/**
 * @returns the folder with a build of the present sources
 * @throws BuildFailed with the compiler's output
 */
export async function ensureBuild(): Promise<string> {
  for (;;) {
    const hash = hashSources();
    const build = join(DIST, hash);
    if (existsSync(build)) {
      pointCurrentTo(hash);
      return build;
    }
    const unfinished = await compile();
    // Somebody may have saved a file meanwhile: then this is a build of neither state.
    if (hashSources() === hash) finish(unfinished, build);
    else rmSync(unfinished, { recursive: true });
    removeOldBuilds();
  }
}

/** Keeps a build from being removed for as long as this process lives. */
export function markInUse(build: string): void {
  for (const name of readdirSync(build)) {
    if (name.startsWith(USER_MARK) && !isAlive(name)) rmSync(join(build, name), { force: true });
  }
  writeFileSync(join(build, `${USER_MARK}${process.pid}`), '');
}

function hashSources(): string {
  const hash = createHash('sha256');
  const settings = readdirSync(PROJECT).filter((name) => SETTINGS.test(name));
  const sources = SOURCE_FOLDERS.flatMap((folder) => filesIn(join(PROJECT, folder)));
  for (const path of [...settings.map((name) => join(PROJECT, name)), ...sources].sort()) {
    const content = createHash('sha256').update(readFileSync(path)).digest('hex');
    hash.update(`${relative(PROJECT, path)} ${content}\n`);
  }
  return hash.digest('hex').slice(0, HASH_LENGTH);
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.spec.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** @returns a folder with the output, which is still nameless */
async function compile(): Promise<string> {
  const startedAt = Date.now();
  // Beside its later place, so that the paths in source maps stay right.
  const unfinished = join(DIST, `${UNFINISHED}${randomBytes(6).toString('hex')}`);
  const tsconfig = `${unfinished}.json`;
  mkdirSync(DIST, { recursive: true });
  writeFileSync(
    tsconfig,
    JSON.stringify({ extends: '../tsconfig.build.json', compilerOptions: { outDir: unfinished } }),
  );
  try {
    await runNest(['build', '--path', relative(PROJECT, tsconfig)]);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error;
  } finally {
    rmSync(tsconfig);
  }
  console.log(`Built in ${((Date.now() - startedAt) / 1000).toFixed(1)} s.`);
  return unfinished;
}

function runNest(args: string[]): Promise<void> {
  return new Promise((done, failed) => {
    const nest = spawn(process.execPath, [NEST, ...args], { cwd: PROJECT });
    let output = '';
    for (const stream of [nest.stdout, nest.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    nest.once('error', failed);
    nest.once('close', (code) => {
      if (code === 0) done();
      else failed(new BuildFailed(output.trim()));
    });
  });
}

function finish(unfinished: string, build: string): void {
  try {
    renameSync(unfinished, build);
  } catch (error) {
    if (!existsSync(build)) throw error;
    rmSync(unfinished, { recursive: true }); // another build of the same was faster
  }
}

/** A link is replaced in one step; its target's time says when the build was last wanted. */
function pointCurrentTo(hash: string): void {
  const now = new Date();
  utimesSync(join(DIST, hash), now, now);
  if (statSync(CURRENT, { throwIfNoEntry: false }) && readlinkSync(CURRENT) === hash) return;
  const link = join(DIST, `${UNFINISHED}${randomBytes(6).toString('hex')}`);
  symlinkSync(hash, link);
  renameSync(link, CURRENT);
}

function removeOldBuilds(): void {
  const aged = readdirSync(DIST)
    .map((name) => ({ path: join(DIST, name), name, time: lastUse(join(DIST, name)) }))
    .sort((a, b) => b.time - a.time);
  const old = aged.filter(({ name }) => BUILD.test(name)).slice(KEPT_BUILDS);
  const abandoned = aged.filter(
    ({ name, time }) => name.startsWith(UNFINISHED) && time < Date.now() - ABANDONED_AFTER_MS,
  );
  for (const { path, name } of [...old, ...abandoned]) {
    if (BUILD.test(name) && readdirSync(path).some(isAlive)) continue;
    // Renamed first: a folder with a build's name is always whole.
    const doomed = join(DIST, `${UNFINISHED}${randomBytes(6).toString('hex')}`);
    renameSync(path, doomed);
    rmSync(doomed, { recursive: true });
  }
}

function lastUse(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Whether a name in a build is the mark of a process that still runs. */
function isAlive(name: string): boolean {
  if (!name.startsWith(USER_MARK)) return false;
  try {
    process.kill(Number(name.slice(USER_MARK.length)), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const program = process.argv[1];
if (program !== undefined && realpathSync(program) === import.meta.filename) {
  try {
    const build = await ensureBuild();
    console.log(`The build is in ${relative(process.cwd(), build)}.`);
  } catch (error) {
    if (!(error instanceof BuildFailed)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
