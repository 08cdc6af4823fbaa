import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CannotStart } from '../core/process/cannot-start.js';
import { birthOf, endsWithin, signal } from './processes.js';

/** What a running server writes into `postmaster.pid` in its data directory. */
export interface Postmaster {
  readonly pid: number;
  readonly isReady: boolean;
}

const FAST_PATIENCE_MS = 15_000;
const IMMEDIATE_PATIENCE_MS = 7_000;

/** The lines of the file, from the server's documentation; the last one appears when it is ready. */
const PID_LINE = 0;
const STATUS_LINE = 7;

/**
 * What the server's own file says; whether that server still runs it does not.
 *
 * @param cluster the data directory
 * @returns undefined when there is no such file, or none that can be read, or its first line is no pid
 */
export function readPostmaster(cluster: string): Postmaster | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const pid = Number(lines[PID_LINE]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return { pid, isReady: lines[STATUS_LINE]?.trim() === 'ready' };
}

/**
 * Ends the server that a killed predecessor left in this data directory.
 *
 * A crashed server leaves the file without the process. PostgreSQL copes with that unless the pid
 * still answers, as a zombie or as another program: then it would refuse to start, so the file
 * goes. Data is not at risk: the server finds survivors of the old one by their shared memory too.
 *
 * @throws CannotStart when it does not end
 */
export async function stopLeftover(cluster: string): Promise<void> {
  const found = readPostmaster(cluster);
  if (!found) return;
  if (birthOf(found.pid) === undefined || !servesDirectory(found.pid, cluster)) {
    rmSync(join(cluster, 'postmaster.pid'), { force: true });
    return;
  }
  if (!(await shutDown(found.pid))) {
    throw new CannotStart(`The PostgreSQL server ${found.pid} of ${cluster} does not stop.`);
  }
}

/**
 * Ends a server: sessions are cut off first (fast), then everything is (immediate), which costs a
 * recovery at the next start and no data.
 *
 * @returns false when it still runs
 */
export async function shutDown(pid: number, mode: 'fast' | 'immediate' = 'fast'): Promise<boolean> {
  if (mode === 'fast') {
    signal(pid, 'SIGINT');
    if (await endsWithin(FAST_PATIENCE_MS, pid)) return true;
  }
  signal(pid, 'SIGQUIT');
  return endsWithin(IMMEDIATE_PATIENCE_MS, pid);
}

/** A server works in its data directory, and says on its command line which one it is. */
function servesDirectory(pid: number, cluster: string): boolean {
  try {
    if (process.platform === 'linux') {
      const program = readlinkSync(`/proc/${pid}/exe`);
      return (
        readlinkSync(`/proc/${pid}/cwd`) === cluster && /\/postgres( \(deleted\))?$/.test(program)
      );
    }
    const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return command.includes('postgres') && command.includes(`-D ${cluster} `);
  } catch {
    return false;
  }
}
