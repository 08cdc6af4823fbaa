import { existsSync, readFileSync } from 'node:fs';

/**
 * CPU and memory of processes, by /proc: on Linux only (proc(5)). A process that is gone uses
 * nothing.
 */

/** What the kernel reports times in, for programs, on every architecture: 100 per second. */
const TICK_MS = 10;
const KIBIBYTE = 1024;

/** Fields of /proc/<pid>/stat after the name, of which the state is the first. */
const STAT = { userTime: 11, systemTime: 12, childrenUserTime: 13, childrenSystemTime: 14 };

/**
 * The CPU time that a process and its descendants have used, in milliseconds, to the nearest ten
 * for each. Children that have ended count as far as they were waited for.
 */
export function cpuMsOfTree(pid: number): number {
  const stat = readProc(pid, 'stat');
  // The name, in parentheses, may contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const own = Object.values(STAT).reduce((ticks, field) => ticks + Number(fields[field] ?? 0), 0);
  return childrenOf(pid).reduce((total, child) => total + cpuMsOfTree(child), own * TICK_MS);
}

/** The children that the first thread of a process started: in Node, all of them. */
export function childrenOf(pid: number): number[] {
  const list = readProc(pid, `task/${pid}/children`).trim();
  return list === '' ? [] : list.split(' ').map(Number);
}

/** Resident memory in bytes; what processes share counts for each. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS');
}

/** Memory in bytes, of which what processes share counts in parts: `Pss` of proc(5). */
export function proportionalBytes(pid: number): number {
  const line = /^Pss:\s+(\d+) kB$/m.exec(readProc(pid, 'smaps_rollup'));
  return Number(line?.[1] ?? 0) * KIBIBYTE;
}

/** The most resident memory that a process has had, in bytes. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM');
}

/** Looks at the resident memory of processes again and again, and keeps the greatest sum. */
export class MemoryWatch {
  peakBytes = 0;
  looks = 0;
  private readonly timer: NodeJS.Timeout;

  /** @param pids asked anew each time */
  constructor(pids: () => number[], everyMs = 20) {
    this.timer = setInterval(() => {
      const sum = pids().reduce((bytes, pid) => bytes + residentBytes(pid), 0);
      this.peakBytes = Math.max(this.peakBytes, sum);
      this.looks += 1;
    }, everyMs);
  }

  stop(): this {
    clearInterval(this.timer);
    return this;
  }
}

/** @throws Error where the figures of this file would be wrong */
export function requireProc(): void {
  // Kernels may be built without this one (CONFIG_PROC_CHILDREN); children would then count nothing.
  if (existsSync(`/proc/${process.pid}/task/${process.pid}/children`)) return;
  throw new Error('Memory is read from /proc/<pid>/task/<pid>/children, which is not there.');
}

function statusBytes(pid: number, name: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readProc(pid, 'status'));
  return Number(line?.[1] ?? 0) * KIBIBYTE;
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}
