import { describeError } from '../../core/problems/error-description.js';
import type { ListedObject } from '../storage.js';
import type { Outcome } from './storage-migration.js';

/** What an operator reads of each outcome. */
const WORDS: Record<Outcome, string> = {
  known: 'there since an earlier run',
  verified: 'there already, and the same',
  copied: 'copied',
  mended: 'were different, and copied anew',
  gone: 'deleted here meanwhile',
  missing: 'MISSING',
  different: 'DIFFERENT',
  failed: 'FAILED',
};
const NOT_THERE: readonly Outcome[] = ['missing', 'different', 'failed'];
/** Whatever goes wrong with everything shall not fill a disk with lines. */
const MOST_TOLD = 1_000;

/** Counts what became of files, for the operator who waits. */
export class MigrationTally {
  private readonly counts = new Map<Outcome, { files: number; bytes: number }>();
  private told = 0;

  /** Tells at once of what is not as it should be. */
  add(
    print: (line: string) => void,
    { key, bytes }: ListedObject,
    outcome: Outcome,
    error?: unknown,
  ): void {
    const count = this.counts.get(outcome) ?? { files: 0, bytes: 0 };
    this.counts.set(outcome, { files: count.files + 1, bytes: count.bytes + bytes });
    const isNews = outcome === 'mended' || NOT_THERE.includes(outcome);
    if (!isNews || this.told === MOST_TOLD) return;
    this.told += 1;
    const reason = error === undefined ? '' : ` (${describeError(error).message})`;
    print(`${outcome.padEnd(9)} ${key}${reason}`);
  }

  get isAllThere(): boolean {
    return NOT_THERE.every((outcome) => !this.counts.has(outcome));
  }

  progress(): string {
    const { files, bytes } = this.total();
    return `… ${files} files, ${inMegabytes(bytes)}`;
  }

  summary(): string {
    const lines = Object.entries(WORDS).flatMap(([outcome, words]) => {
      const count = this.counts.get(outcome as Outcome);
      return count ? [line(count, words)] : [];
    });
    return [...lines, line(this.total(), 'in all'), this.verdict()].join('\n');
  }

  /** A store that has changed one file may have changed others that an earlier run has compared. */
  private verdict(): string {
    if (this.isAllThere) return 'Every file is in the bucket as it is here.';
    const remedy = this.counts.has('different')
      ? 'Compare all, and copy what differs: npm run storage:migrate -- --again'
      : 'Run it again.';
    return `Not every file is in the bucket as it is here. ${remedy}`;
  }

  private total() {
    let files = 0;
    let bytes = 0;
    for (const count of this.counts.values()) {
      files += count.files;
      bytes += count.bytes;
    }
    return { files, bytes };
  }
}

function line({ files, bytes }: { files: number; bytes: number }, words: string): string {
  return `${String(files).padStart(9)} files, ${inMegabytes(bytes).padStart(12)}: ${words}`;
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
