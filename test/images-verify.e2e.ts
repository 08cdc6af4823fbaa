import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from './free-port.js';
import { productVariables } from './environment.js';
import { eventually } from './eventually.js';
import { ProductProcess } from './product-process.js';

const READY = 'Atelier is ready.';

let dataDir: string;
let standalone: ChildProcess;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-verify-'));
  standalone = spawn('npm', ['start'], {
    env: { ...variables(), PORT: String(await freePort()) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [standalone.stdout, standalone.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  await eventually(
    async () => output,
    (text) => text.includes(READY) || standalone.exitCode !== null,
    60_000,
  );
  expect(output).toContain(READY);
}, 90_000);

afterAll(async () => {
  await stop();
  await rm(dataDir, { recursive: true, force: true });
});

/** What an operator's shell has: nothing of the database. */
function variables(): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, DATA_DIR: dataDir };
}

async function stop(): Promise<void> {
  if (standalone.exitCode !== null || standalone.signalCode !== null) return;
  standalone.kill('SIGTERM');
  await once(standalone, 'exit');
}

async function verify(...flags: string[]) {
  return verifyWith(variables(), flags);
}

async function verifyWith(env: Record<string, string>, flags: string[] = []) {
  const child = ProductProcess.spawn('images-verify', env, flags);
  return { code: await child.ended(), output: child.output };
}

async function storeStray(): Promise<string> {
  const path = join(dataDir, 'files/images/somebody/1-x/stray.jpg');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'x');
  await utimes(path, 1, 1);
  return path;
}

describe('npm run images:verify', () => {
  it.each([['--repiar'], ['--repair=yes'], ['everything']])(
    'refuses %s with its usage, and does nothing',
    async (flag) => {
      const { code, output } = await verify(flag);
      expect(code).toBe(2);
      expect(output).toContain('Usage: npm run images:verify');
      expect(output).not.toContain('    at ');
    },
  );

  it('ends with 2 and plain words when it cannot look', async () => {
    const at = (appUrl: string, dataDir: string) =>
      verifyWith(productVariables({ appUrl, ownerUrl: '' }, dataDir));
    const unreachable = await at('postgresql://x:y@127.0.0.1:1/x', dataDir);
    expect(unreachable.code).toBe(2);
    const absent = join(dataDir, 'absent');
    const nothing = await at('', absent);
    expect(nothing.code).toBe(2);
    expect(nothing.output).toContain('There is no database in DATA_DIR');
    await expect(readdir(absent)).rejects.toThrow('ENOENT');
  });
});

describe('npm run images:verify on the embedded PostgreSQL', () => {
  it('works beside npm start', async () => {
    const stray = await storeStray();
    expect(await verify()).toMatchObject({ code: 1, output: expect.stringContaining('stray.jpg') });
    expect(existsSync(stray)).toBe(true);
    expect(await verify('--repair')).toMatchObject({ code: 0 });
    expect(existsSync(stray)).toBe(false);
  });

  it('works while npm start does not run, and leaves no server behind', async () => {
    await stop();
    const stray = await storeStray();
    expect(await verify('--repair')).toMatchObject({
      code: 0,
      output: expect.stringContaining('1 repaired, 0 left'),
    });
    expect(existsSync(stray)).toBe(false);
    expect(existsSync(join(dataDir, 'postgres/postmaster.pid'))).toBe(false);
  });
});
