import { childrenOf, requireProc, residentBytes } from '../../bench/process-usage.js';

/**
 * Watches how much memory a process and its children have at once, on Linux.
 *
 * @returns a function that stops the watch and tells by how many bytes it rose at the most
 * @throws Error, and so does what is returned, where that cannot be told: no rise would look well
 */
export function watchMemory(pid: number, everyMs = 20): () => number {
  requireProc();
  const before = memoryOfTree(pid);
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, memoryOf(pid));
  }, everyMs);
  return () => {
    clearInterval(timer);
    return Math.max(peak, memoryOfTree(pid)) - before;
  };
}

/** Of a process that is there, with all its descendants, in bytes. */
function memoryOfTree(pid: number): number {
  if (residentBytes(pid) === 0) throw new Error(`There is no process ${pid} to watch.`);
  return memoryOf(pid);
}

/** Children may end while they are counted: they then have no memory, and no children. */
function memoryOf(pid: number): number {
  return childrenOf(pid).reduce((sum, child) => sum + memoryOf(child), residentBytes(pid));
}
