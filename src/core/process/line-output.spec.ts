import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { LineOutput } from './line-output.js';

/** How much is kept for a reader that stands still. */
const KEPT_LENGTH = 16 * 1024 * 1024;

let folder: string;
/** Both ends of a pipe. */
let reader: number;
let writer: number;
let dropped: number[];
let output: LineOutput;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atelier-lines-'));
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
  dropped = [];
  output = new LineOutput(writer, (count) => dropped.push(count));
});

afterEach(() => {
  closeSync(writer);
  rmSync(folder, { recursive: true });
});

/** What is in the pipe now. */
function readAvailable(): string {
  const chunk = Buffer.alloc(64 * 1024);
  try {
    return chunk.toString('utf8', 0, readSync(reader, chunk));
  } catch {
    return '';
  }
}

/** Reads until nothing comes any more. */
async function readAll(quietMs = 500): Promise<string> {
  let text = '';
  let heardAt = performance.now();
  while (performance.now() - heardAt < quietMs) {
    const more = readAvailable();
    if (more !== '') heardAt = performance.now();
    text += more;
    await sleep(1);
  }
  return text;
}

it('writes lines in their order, whole', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} ü\n`);
  lines.forEach((line) => {
    output.write(line);
  });
  expect(await readAll()).toBe(lines.join(''));
  output.write('one more\n');
  expect(await readAll()).toBe('one more\n');
  closeSync(reader);
});

it('keeps lines for a reader that stands still up to a limit, and counts the others', async () => {
  const line = `${'x'.repeat(1023)}\n`;
  const lines = KEPT_LENGTH / line.length + 1_000;
  for (let count = 0; count < lines; count += 1) output.write(line);
  await sleep(200);
  const text = await readAll();
  const kept = text.length / line.length;
  expect(kept).toBeGreaterThanOrEqual(KEPT_LENGTH / line.length);
  expect(kept).toBeLessThan(lines);
  expect(dropped).toEqual([lines - kept]);
  closeSync(reader);
}, 60_000);

it('forgets lines when its reader is gone', async () => {
  closeSync(reader);
  output.write('line\n');
  await sleep(200);
  for (let count = 0; count < 100; count += 1) output.write('line\n');
  expect(dropped).toEqual([]);
});
