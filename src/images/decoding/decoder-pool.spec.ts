import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { Darkroom, decoderPoolFromSources, FROM_SOURCES, pidOf } from '../../../test/decoding.js';
import { eventually } from '../../../test/eventually.js';
import { DecoderCrashed, DecoderOutOfMemory, DecoderTimedOut } from './decoder.js';
import { type DecoderPool, DecoderPoolClosed, type DecoderPoolOptions } from './decoder-pool.js';
import { DecodeRefused, type DecodeTask } from './variants.js';

const PATIENCE = { timeoutMs: 20_000, memoryMb: 100 };

let darkroom: Darkroom;
let pool: DecoderPool;
let picture: Buffer;

beforeAll(async () => {
  darkroom = await Darkroom.open();
  picture = await sharp({ create: { width: 400, height: 300, channels: 3, background: '#fa0' } })
    .png()
    .toBuffer();
});

afterEach(() => pool.close());

afterAll(() => darkroom.close());

describe('A decoder pool', () => {
  it('decodes', async () => {
    pool = decoderPoolFromSources({ size: 1, memoryMb: 1000 });

    expect(await pool.run(await darkroom.task(picture), PATIENCE)).toMatchObject({
      original: { format: 'png', width: 400, height: 300 },
      variants: [{ name: 'large' }, { name: 'medium' }, { name: 'thumbnail', width: 320 }],
    });
  });

  it('hands on refusals and other errors with their codes', async () => {
    pool = decoderPoolFromSources({ size: 1, memoryMb: 1000 });
    const broken = pool.run(await darkroom.task(picture.subarray(0, 100)), PATIENCE);
    const missing = pool.run(await darkroom.taskNamed('missing'), PATIENCE);

    await expect(broken).rejects.toBeInstanceOf(DecodeRefused);
    await expect(broken).rejects.toMatchObject({ code: 'truncated' });
    await expect(missing).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('keeps its children and has no more of them than its size', async () => {
    openMisbehavingPool({ size: 2 });
    const tasks = await Promise.all(Array.from({ length: 8 }, () => darkroom.task(picture)));

    await Promise.all(tasks.map((task) => pool.run(task, PATIENCE)));

    expect(new Set(await Promise.all(tasks.map(pidOf))).size).toBe(2);
  });

  it('runs waiting tasks in the order in which they came', async () => {
    pool = decoderPoolFromSources({ size: 1, memoryMb: 1000 });
    const tasks = await Promise.all(Array.from({ length: 5 }, () => darkroom.task(picture)));
    const done: DecodeTask[] = [];

    await Promise.all(tasks.map((task) => pool.run(task, PATIENCE).then(() => done.push(task))));

    expect(done).toEqual(tasks);
  });

  it('replaces a child after so many tasks', async () => {
    openMisbehavingPool({ size: 1, tasksPerChild: 2 });
    const pids = [];
    for (let i = 0; i < 5; i++) {
      const task = await darkroom.task(picture);
      await pool.run(task, PATIENCE);
      pids.push(await pidOf(task));
    }

    const [a, b, c, d, e] = pids;
    expect([a, c]).toEqual([b, d]);
    expect(new Set([a, c, e]).size).toBe(3);
    expect([a, c].some(isAlive)).toBe(false);
  });
});

describe('A child that crashes, exits or hangs', () => {
  it.each([
    { behaviour: 'crash', error: DecoderCrashed, message: 'SIGSEGV' },
    { behaviour: 'exit', error: DecoderCrashed, message: 'code 3' },
    { behaviour: 'hang', error: DecoderTimedOut, message: '1000 ms' },
  ])('by $behaviour fails its own task alone', async ({ behaviour, error, message }) => {
    openMisbehavingPool({ size: 2 });
    const bad = await darkroom.taskNamed(behaviour);
    const others = await Promise.all(Array.from({ length: 6 }, () => darkroom.task(picture)));

    const failing = pool.run(bad, { ...PATIENCE, timeoutMs: 1000 });
    const rest = Promise.all(others.map((task) => pool.run(task, PATIENCE)));

    await expect(failing).rejects.toThrow(error);
    await expect(failing).rejects.toThrow(message);
    await expect(rest).resolves.toHaveLength(6);
    expect(isAlive(await pidOf(bad))).toBe(false);
  });

  it('by hanging does not outlive its parent', async () => {
    const task = await darkroom.taskNamed('hang');
    const parent = fork(new URL('../../../test/hanging-parent.child.ts', import.meta.url), {
      execArgv: FROM_SOURCES,
    });
    parent.send(task);
    const pid = await eventually(
      () => pidOf(task),
      (found) => found !== undefined,
    );
    parent.kill('SIGKILL');
    const isLeft = () => Promise.resolve(isAlive(pid));
    expect(await eventually(isLeft, (alive) => !alive, 5_000)).toBe(false);
  });

  it('while idle is replaced', async () => {
    openMisbehavingPool({ size: 1 });
    const first = await darkroom.task(picture);
    await pool.run(first, PATIENCE);
    process.kill((await pidOf(first))!, 'SIGKILL');

    // A task that comes before the death is noticed fails with it.
    const second = async () => pool.run(await darkroom.task(picture), PATIENCE);
    const result = await eventually(
      () => second().catch(() => undefined),
      (each) => each !== undefined,
    );
    expect(result).toBeDefined();
  });

  it('while it starts fails every task and never leaves one waiting', async () => {
    const childModule = new URL('../../../test/unstartable.child.ts', import.meta.url);
    pool = decoderPoolFromSources({ size: 2, memoryMb: 1000, childModule });
    const tasks = await Promise.all(Array.from({ length: 6 }, () => darkroom.task(picture)));

    const outcomes = await Promise.allSettled(tasks.map((task) => pool.run(task, PATIENCE)));

    for (const outcome of outcomes) {
      expect(outcome).toEqual({ status: 'rejected', reason: expect.any(DecoderCrashed) });
    }
  });
});

describe('A child that takes too much memory', () => {
  // Where there is no /proc, nothing is watched.
  const itOnLinux = process.platform === 'linux' ? it : it.skip;

  itOnLinux('is killed and fails its own task alone', async () => {
    openMisbehavingPool({ size: 2, maxChildMb: 400 });
    const greedy = await darkroom.taskNamed('devour');
    const others = await Promise.all(Array.from({ length: 6 }, () => darkroom.task(picture)));

    const failing = pool.run(greedy, PATIENCE);
    const rest = Promise.all(others.map((task) => pool.run(task, PATIENCE)));

    await expect(failing).rejects.toThrow(DecoderOutOfMemory);
    await expect(failing).rejects.toThrow('400 MB');
    await expect(rest).resolves.toHaveLength(6);
    expect(isAlive(await pidOf(greedy))).toBe(false);
  });

  itOnLinux('is one beyond the budget, when nothing else is said', async () => {
    openMisbehavingPool({ memoryMb: 300 });

    await expect(pool.run(await darkroom.taskNamed('devour'), PATIENCE)).rejects.toThrow('300 MB');
  });

  itOnLinux('may take half more than a task that is known to be large', async () => {
    openMisbehavingPool({ memoryMb: 300 });
    const large = { ...PATIENCE, memoryMb: 400 };

    await expect(pool.run(await darkroom.taskNamed('devour'), large)).rejects.toThrow('600 MB');
  });
});

describe('Tasks of known size', () => {
  it('run at once only while they fit into the memory together, in order', async () => {
    openMisbehavingPool({ size: 3, memoryMb: 1000 });
    const abort = new AbortController();
    const holding = await darkroom.taskNamed('hang');
    const held = pool.run(holding, { ...PATIENCE, memoryMb: 600, signal: abort.signal });
    await started(holding);
    const large = await darkroom.task(picture);
    const small = await darkroom.task(picture);

    const rest = [
      pool.run(large, { ...PATIENCE, memoryMb: 500 }),
      pool.run(small, { ...PATIENCE, memoryMb: 100 }),
    ];
    await sleep(500);
    expect([await pidOf(large), await pidOf(small)]).toEqual([undefined, undefined]);
    abort.abort(new Error('enough'));

    await expect(held).rejects.toThrow('enough');
    await expect(Promise.all(rest)).resolves.toHaveLength(2);
  });

  it('give their memory back when they fail', async () => {
    openMisbehavingPool({ size: 2, memoryMb: 100 });

    for (const behaviour of ['crash', 'exit', 'crash']) {
      await expect(pool.run(await darkroom.taskNamed(behaviour), PATIENCE)).rejects.toThrow(
        DecoderCrashed,
      );
    }
    await expect(pool.run(await darkroom.task(picture), PATIENCE)).resolves.toBeDefined();
  });
});

describe('Aborting', () => {
  const reason = new Error('not wanted any more');

  it('kills the child that runs the task and rejects with the reason', async () => {
    openMisbehavingPool({ size: 1 });
    const hanging = await darkroom.taskNamed('hang');
    const abort = new AbortController();
    const run = pool.run(hanging, { ...PATIENCE, signal: abort.signal });
    const pid = await started(hanging);

    abort.abort(reason);

    await expect(run).rejects.toBe(reason);
    expect(isAlive(pid)).toBe(false);
    await expect(pool.run(await darkroom.task(picture), PATIENCE)).resolves.toBeDefined();
  });

  it('takes a waiting task out of the queue', async () => {
    openMisbehavingPool({ size: 1 });
    const abort = new AbortController();
    const waiting = await darkroom.task(picture);
    const before = pool.run(await darkroom.task(picture), PATIENCE);
    const run = pool.run(waiting, { ...PATIENCE, signal: abort.signal });
    const after = pool.run(await darkroom.task(picture), PATIENCE);

    abort.abort(reason);

    await expect(run).rejects.toBe(reason);
    await expect(Promise.all([before, after])).resolves.toHaveLength(2);
    expect(await pidOf(waiting)).toBeUndefined();
  });

  it('beforehand starts nothing', async () => {
    openMisbehavingPool({ size: 1 });
    const task = await darkroom.task(picture);

    await expect(pool.run(task, { ...PATIENCE, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    expect(await pidOf(task)).toBeUndefined();
  });
});

describe('Closing', () => {
  it('rejects what runs, what waits and what comes, and ends the children', async () => {
    openMisbehavingPool({ size: 1 });
    const hanging = await darkroom.taskNamed('hang');
    const running = pool.run(hanging, PATIENCE);
    const waiting = pool.run(await darkroom.task(picture), PATIENCE);
    const outcomes = Promise.allSettled([running, waiting]);
    const pid = await started(hanging);

    await pool.close();

    const closed = { status: 'rejected', reason: expect.any(DecoderPoolClosed) };
    expect(isAlive(pid)).toBe(false);
    expect(await outcomes).toEqual([closed, closed]);
    await expect(pool.run(await darkroom.task(picture), PATIENCE)).rejects.toThrow(
      DecoderPoolClosed,
    );
  });

  it('may come twice, and before any child was started', async () => {
    openMisbehavingPool({ size: 3 });

    await pool.close();
    await expect(pool.close()).resolves.toBeUndefined();
  });
});

function openMisbehavingPool(options: Partial<DecoderPoolOptions>): void {
  const childModule = new URL('../../../test/misbehaving.child.ts', import.meta.url);
  pool = decoderPoolFromSources({ childModule, size: 1, memoryMb: 1000, ...options });
}

/** The process that has begun with a task. */
async function started(task: DecodeTask): Promise<number> {
  for (;;) {
    const pid = await pidOf(task);
    if (pid) return pid;
    await sleep(10);
  }
}

function isAlive(pid: number | undefined): boolean {
  try {
    return process.kill(pid!, 0);
  } catch {
    return false;
  }
}
