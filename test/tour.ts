import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** What stands between its two marks is run, block by block. */
const TOUR = /<!-- tour: .*?-->(.*?)<!-- tour ends -->/s;
const BLOCK = /```sh\n(.*?)```/gs;

/**
 * Runs the commands of a guide as they stand, in one shell and with the address of the product under
 * test, and fails when one of them does. What is asked by `curl --silent` may be refused.
 *
 * @param folder where they run; programs in it stand in for those of the machine
 * @returns what each block has printed
 */
export async function takeTour(guide: string, url: string, folder: string): Promise<string[]> {
  const tour = TOUR.exec(await readFile(guide, 'utf8'))?.[1] ?? '';
  const blocks = [...tour.matchAll(BLOCK)].map(([, block]) => block ?? '');
  const script = blocks
    .join('\necho\necho ---\n')
    .replaceAll('curl -s', 'curl -s --fail-with-body')
    .replaceAll('http://localhost:3000', url);
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: folder,
    env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` },
  });
  return stdout.split('---\n');
}
