import type { Finding, FindingKind, Remedy, UpkeepSummary } from './findings.js';

const KINDS: Record<FindingKind, string> = {
  'expired-upload': 'uploads past IMAGE_RETENTION_DAYS, linked to nothing',
  'missing-file': 'files that a row names and storage does not have',
  'wrong-size': 'files of another size than their row says',
  'wrong-checksum': 'files with another checksum than their row says',
  'found-again': 'images marked FAILED for lost files, which are all there again',
  'stray-file': 'files in storage that no row names',
};

/** What a repair would do, and what it did. */
const REMEDIES: Record<Remedy, { would: string; did: string }> = {
  delete: { would: 'would be deleted', did: 'deleted' },
  reprocess: {
    would: 'would be made anew from the original',
    did: 'is being made anew from the original',
  },
  'mark-failed': {
    would: 'cannot be made anew: the image would be marked FAILED',
    did: 'cannot be made anew: the image is marked FAILED',
  },
  restore: {
    would: 'the image would be COMPLETED again',
    did: 'the image is COMPLETED again',
  },
  remove: { would: 'would be removed', did: 'removed' },
  none: {
    would: 'cannot be repaired: restore the file from a backup',
    did: 'cannot be repaired: restore the file from a backup',
  },
};

/** One line on one finding, for people. */
export function describeFinding({ kind, imageId, key, remedy, outcome }: Finding): string {
  const { would, did } = REMEDIES[remedy];
  const image = imageId === null ? '' : ` (image ${imageId})`;
  const note = outcome === 'left' && remedy !== 'none' ? ', held back' : '';
  return `${kind}  ${key}${image}: ${outcome === 'repaired' ? did : would}${note}`;
}

/** The counts at the end, for people. */
export function describeSummary(summary: UpkeepSummary, repair: boolean): string {
  const { files, images, findings, repaired, left, heldBack } = summary;
  const counts = Object.entries(findings).map(
    ([kind, count]) => `  ${String(count).padStart(7)}  ${KINDS[kind as FindingKind]}`,
  );
  const lines = [`Looked at ${images} images and ${files} files.`, ...counts];
  if (repaired + left === 0) lines.push('All is well.');
  else if (repair) lines.push(`${repaired} repaired, ${left} left.`);
  else lines.push('Nothing was changed. To repair: npm run images:verify -- --repair');
  if (heldBack > 0) {
    lines.push(
      `${heldBack} repairs were held back, because they would give up more than half of what was`,
      'looked at. Make sure that DATABASE_URL and DATA_DIR belong together and that the disk is',
      'mounted. If all of that is right, add --force.',
    );
  }
  return lines.join('\n');
}
