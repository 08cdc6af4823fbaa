import { execFileSync } from 'node:child_process';
import { delimiter } from 'node:path';
import { describe } from '@jest/globals';

/** Where programs are looked for. Debian keeps servers in a folder that not everyone's PATH has. */
const PATH = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin`;

/** The environment for a program that is no part of the product. */
export function programEnv(): NodeJS.ProcessEnv {
  return { ...process.env, PATH };
}

/** `describe` where a program is installed, or several are, as {@link describeWhere} has it. */
export function describeWith(programs: string | string[], name: string, block: () => void): void {
  const all = [programs].flat();
  const needs = all.find((program) => !isInstalled(program)) ?? '';
  const reason = `there is no ${needs} on the PATH`;
  describeWhere(needs === '', { needs, reason }, name, block);
}

/**
 * `describe` where the machine can run it. Elsewhere the block is skipped, and says so; when
 * `ATELIER_TEST_REQUIRE`, a list with commas, names what it needs, that is an error.
 *
 * @param reason why it cannot
 */
export function describeWhere(
  can: boolean,
  { needs, reason }: { needs: string; reason: string },
  name: string,
  block: () => void,
): void {
  if (can) {
    describe(name, block);
    return;
  }
  const required = (process.env['ATELIER_TEST_REQUIRE'] ?? '').split(',');
  if (required.includes(needs)) throw new Error(`Cannot run "${name}": ${reason}`);
  describe.skip(`${name} (NOT RUN: ${reason})`, block);
}

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore', env: programEnv() });
    return true;
  } catch {
    return false;
  }
}
