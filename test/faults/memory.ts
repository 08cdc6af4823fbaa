import { readdirSync, readFileSync } from 'node:fs';

const PAGE_BYTES = 4096;

/**
 * Watches how much memory a process and its children have at once, on Linux.
 *
 * @returns a function that stops the watch and tells by how many bytes it rose at the most
 */
export function watchMemory(pid: number, everyMs = 20): () => number {
  const before = memoryOf(pid);
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, memoryOf(pid));
  }, everyMs);
  return () => {
    clearInterval(timer);
    return Math.max(peak, memoryOf(pid)) - before;
  };
}

/** Resident memory of a process and all its descendants, in bytes. */
export function memoryOf(pid: number): number {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    return childrenOf(pid).reduce((sum, child) => sum + memoryOf(child), pages * PAGE_BYTES);
  } catch {
    return 0;
  }
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number),
  );
}
