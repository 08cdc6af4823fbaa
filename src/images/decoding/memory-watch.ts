import { readFileSync } from 'node:fs';

/** How often the memory of a busy child is looked at, in milliseconds. */
const INTERVAL_MS = 50;

/**
 * Calls back once when a process holds more memory than allowed, until it is stopped.
 *
 * V8's limits do not bound what libvips and WebAssembly take, and `ulimit -v` counts what is only
 * reserved. So the resident memory is read from Linux' `/proc`; elsewhere nothing is watched.
 *
 * @returns stops watching
 */
export function watchMemory(pid: number, limitMb: number, onExcess: () => void): () => void {
  const timer = setInterval(() => {
    if ((residentMb(pid) ?? 0) <= limitMb) return;
    clearInterval(timer);
    onExcess();
  }, INTERVAL_MS);
  return () => {
    clearInterval(timer);
  };
}

/** Undefined for a process that is gone, and where there is no `/proc`. */
function residentMb(pid: number): number | undefined {
  try {
    // `status` and not `statm`: it counts in kB, while Node does not tell the size of a page.
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
  } catch {
    return undefined;
  }
}
