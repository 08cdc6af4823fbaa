/** What may be wrong between rows and files, or have become too old. */
const FINDING_KINDS = [
  'expired-upload',
  'missing-file',
  'wrong-size',
  'wrong-checksum',
  'found-again',
  'stray-file',
] as const;

export type FindingKind = (typeof FINDING_KINDS)[number];

/**
 * What repairs a finding.
 *
 * - `delete`: the image is deleted as by its owner
 * - `reprocess`: the files of the image are made anew from its original, or at last from its upload
 * - `mark-failed`: the image becomes FAILED, because nothing is left to make the file from
 * - `restore`: the image, which was marked FAILED, is COMPLETED again
 * - `remove`: the file is removed from storage
 * - `none`: only a person can, with a backup
 */
export type Remedy = 'delete' | 'reprocess' | 'mark-failed' | 'restore' | 'remove' | 'none';

/**
 * What became of a finding: `found` when nothing was to be repaired, `repaired`, or `left` because
 * nothing can be done, or because too much would be lost at once.
 */
export type Outcome = 'found' | 'repaired' | 'left';

/** One thing that was wrong, and what became of it. */
export interface Finding {
  kind: FindingKind;
  /** Null for a file without a row. */
  imageId: string | null;
  key: string;
  remedy: Remedy;
  outcome: Outcome;
}

/** What one round has seen and done. */
export interface UpkeepSummary {
  /** Files in storage, and images that are to have files, that were looked at. */
  files: number;
  images: number;
  findings: Record<FindingKind, number>;
  repaired: number;
  /** Findings that are still there. */
  left: number;
  /** Repairs that were held back because too much would be lost at once. */
  heldBack: number;
}

/** That of a round that has seen nothing yet. */
export function emptySummary(): UpkeepSummary {
  const findings = Object.fromEntries(FINDING_KINDS.map((kind) => [kind, 0]));
  return {
    files: 0,
    images: 0,
    findings: findings as UpkeepSummary['findings'],
    repaired: 0,
    left: 0,
    heldBack: 0,
  };
}
