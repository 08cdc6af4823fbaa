import { execFileSync } from 'node:child_process';
import { describe } from '@jest/globals';

const PROMTOOL = 'promtool';

/**
 * `describe` where promtool is installed. Elsewhere the block is skipped, and says so in its name;
 * when `ATELIER_TEST_REQUIRE`, a list with commas, names it, its absence is an error.
 */
export function describeWithPromtool(name: string, block: () => void): void {
  const required = (process.env['ATELIER_TEST_REQUIRE'] ?? '').split(',');
  if (isInstalled()) describe(name, block);
  else if (required.includes(PROMTOOL)) throw new Error(`There is no ${PROMTOOL} on the PATH.`);
  else describe.skip(`${name} (NOT RUN: there is no ${PROMTOOL} on the PATH)`, block);
}

/** @throws with what it complains about */
export function promtool(...args: string[]): string {
  try {
    return execFileSync(PROMTOOL, args, { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`promtool ${args.join(' ')}:\n${stdout}${stderr}`, { cause: error });
  }
}

function isInstalled(): boolean {
  try {
    execFileSync(PROMTOOL, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
