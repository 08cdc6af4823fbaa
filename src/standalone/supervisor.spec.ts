import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { birthOf } from './processes.js';
import { Supervisor } from './supervisor.js';

const RUNS_ON = 'setInterval(() => {}, 1000);';

describe('Supervisor', () => {
  let dataDir: string;
  let supervisor: Supervisor;
  let written: string;

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'atelier-supervisor-'));
    supervisor = new Supervisor({ dataDir, stopPatienceMs: 500 });
    written = '';
    for (const output of [process.stdout, process.stderr]) {
      jest.spyOn(output, 'write').mockImplementation((text) => {
        written += String(text);
        return true;
      });
    }
  });

  afterEach(async () => {
    await supervisor.stop();
    jest.restoreAllMocks();
    rmSync(dataDir, { recursive: true });
  });

  function program(name: string, source: string) {
    const entry = join(dataDir, `${name}.mjs`);
    writeFileSync(entry, source);
    return { name, entry, env: { DATA_DIR: dataDir } };
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await sleep(10);
  }

  function recorded(): { name: string; pid: number; birth: string }[] {
    const path = join(dataDir, 'processes.json');
    return JSON.parse(readFileSync(path, 'utf8')) as ReturnType<typeof recorded>;
  }

  it('writes each line under the name of its process', async () => {
    await supervisor.runToEnd(
      program('migrate', "process.stdout.write('one\\ntwo'); console.error('three');"),
    );
    expect(written.split('\n').sort()).toEqual([
      '',
      'migrate  | one',
      'migrate  | three',
      'migrate  | two',
    ]);
  });

  it('reports a program that ends badly', async () => {
    await expect(supervisor.runToEnd(program('migrate', 'process.exit(3)'))).rejects.toThrow(
      'migrate failed (exit code 3).',
    );
  });

  it('takes a crash during the start for a failed start', async () => {
    supervisor.keepRunning(program('api', 'process.exit(1)'));
    await expect(supervisor.startFailure).rejects.toThrow('api ended during the start');
  });

  it('starts a crashed program again', async () => {
    const crashOnce = `
      import { existsSync, writeFileSync } from 'node:fs';
      const mark = process.env.DATA_DIR + '/crashed';
      if (existsSync(mark)) console.log('back');
      else { writeFileSync(mark, ''); process.kill(process.pid, 'SIGKILL'); }
      ${RUNS_ON}`;
    supervisor.settle();
    supervisor.keepRunning(program('worker', crashOnce));
    await until(() => written.includes('worker   | back'));
    expect(written).toContain('worker ended (SIGKILL) and will be started again');
  });

  it('kills what does not end when asked, with all that it started', async () => {
    const stubborn = `
      import { spawn } from 'node:child_process';
      process.on('SIGTERM', () => {});
      console.log('grandchild', spawn('sleep', ['60']).pid);
      ${RUNS_ON}`;
    supervisor.keepRunning(program('api', stubborn));
    await until(() => written.includes('grandchild'));
    const grandchild = Number(/grandchild (\d+)/.exec(written)?.[1]);
    expect(birthOf(grandchild)).toBeDefined();
    await supervisor.stop();
    await until(() => birthOf(grandchild) === undefined);
    expect(recorded()).toEqual([]);
  });

  it('gives its children a channel whose end tells them that it is gone', async () => {
    supervisor.keepRunning(
      program('api', `console.log('connected', process.connected); ${RUNS_ON}`),
    );
    await until(() => written.includes('connected true'));
    expect(recorded()).toEqual([expect.objectContaining({ name: 'api' })]);
  });

  it('ends what a killed predecessor left, and nobody who has the pid of one by chance', async () => {
    const [leftover, stranger] = [spawnSleep(), spawnSleep()];
    const record = [
      { name: 'api', pid: leftover.pid!, birth: birthOf(leftover.pid!) },
      { name: 'worker', pid: stranger.pid!, birth: 'an earlier process' },
    ];
    writeFileSync(join(dataDir, 'processes.json'), JSON.stringify(record));
    const ended = once(leftover, 'exit');
    await supervisor.killLeftovers();
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(written).toBe('atelier  | ended the process api that an earlier start had left\n');
    expect(birthOf(stranger.pid!)).toBeDefined();
    stranger.kill('SIGKILL');
    await once(stranger, 'exit');
  });
});

function spawnSleep() {
  return spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
}
