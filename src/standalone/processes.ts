import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { readPrivateJson, writePrivateJson } from './private-file.js';

const POLL_MS = 10;
const KILL_PATIENCE_MS = 5_000;

const recordSchema = z.array(z.object({ name: z.string(), pid: z.int(), birth: z.string() }));

/**
 * What tells a process from a later one that was given the same pid.
 *
 * @returns undefined when no such process runs; a zombie no longer does
 */
export function birthOf(pid: number): string | undefined {
  try {
    return process.platform === 'linux' ? linuxBirthOf(pid) : startTimeFromPs(pid);
  } catch {
    return undefined;
  }
}

function linuxBirthOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the program's name, in parentheses, and may itself contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, threads, startTime] = [fields[0], Number(fields[17]), fields[19]];
  // The first thread may be gone while others still hold the process's sockets.
  if (state === 'X' || (state === 'Z' && threads <= 1)) return undefined;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return `${boot} ${startTime ?? ''}`;
}

function startTimeFromPs(pid: number): string | undefined {
  const answer = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  return answer.trim() || undefined;
}

/** Waits until a process has ended. @returns false when it still runs after that time */
export async function endsWithin(milliseconds: number, pid: number): Promise<boolean> {
  const birth = birthOf(pid);
  const deadline = Date.now() + milliseconds;
  while (birth !== undefined && birthOf(pid) === birth) {
    if (Date.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}

/** Sends a signal to a process, or with a negative pid to its group; it may have ended already. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The children that run now, on disk, so that the next start can end those that outlived us. */
export class ProcessRecord {
  private processes: z.output<typeof recordSchema> = [];

  constructor(private readonly path: string) {}

  add(name: string, pid: number): void {
    const birth = birthOf(pid);
    if (birth === undefined) return;
    this.processes.push({ name, pid, birth });
    this.save();
  }

  remove(pid: number): void {
    this.processes = this.processes.filter((known) => known.pid !== pid);
    this.save();
  }

  /** Kills what a predecessor left, each with the processes it started. @returns their names */
  async killLeftovers(): Promise<string[]> {
    const recorded = readPrivateJson(this.path, recordSchema) ?? [];
    const leftovers = recorded.filter(({ pid, birth }) => birthOf(pid) === birth);
    for (const { pid } of leftovers) signal(-pid, 'SIGKILL');
    await Promise.all(leftovers.map(({ pid }) => endsWithin(KILL_PATIENCE_MS, pid)));
    return leftovers.map(({ name }) => name);
  }
  private save(): void {
    try {
      writePrivateJson(this.path, this.processes);
    } catch {
      // A full disk must not end what runs. A missing entry only matters after a kill -9, and then
      // only if the child also misses that we are gone.
    }
  }
}
