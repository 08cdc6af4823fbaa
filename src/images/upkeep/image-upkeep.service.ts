import { Injectable, Logger } from '@nestjs/common';
import { type Look, withBrake } from './brake.js';
import {
  emptySummary,
  type Finding,
  type Outcome,
  type Remedy,
  type UpkeepSummary,
} from './findings.js';
import { ImageRetention } from './image-retention.js';
import { type FaultyImage, LostFiles } from './lost-files.js';
import { StrayFiles } from './stray-files.js';

export interface UpkeepOptions {
  /** Whether what is found is repaired; otherwise nothing is changed at all. */
  repair: boolean;
  /** Whether every file is read and compared with its checksum. */
  checksums: boolean;
  /** Whether to repair even when most of what was looked at would be given up. */
  force: boolean;
  /** Ends the round early: it throws the signal's reason. */
  signal: AbortSignal;
  /** Told of each finding once, when it is known what became of it. */
  report?: (finding: Finding) => void;
}

/**
 * Keeps rows and files together: what the retention says is too old, rows without their files,
 * files without a row.
 *
 * Any number of rounds may run at once: each repair looks again, and the database decides.
 */
@Injectable()
export class ImageUpkeep {
  private readonly logger = new Logger(ImageUpkeep.name);

  constructor(
    private readonly retention: ImageRetention,
    private readonly lostFiles: LostFiles,
    private readonly strayFiles: StrayFiles,
  ) {}

  /** One round over everything. Memory does not grow with the number of files. */
  async run(options: UpkeepOptions): Promise<UpkeepSummary> {
    const round = new Round(options);
    await this.deleteExpired(round);
    await this.repairLost(round);
    await this.removeStrays(round);
    return round.summary;
  }

  /** The round of every night. @returns how many findings it repaired */
  async runNightly(signal: AbortSignal): Promise<number> {
    const startedAt = performance.now();
    const summary = await this.run({ repair: true, checksums: false, force: false, signal });
    const ms = Math.round(performance.now() - startedAt);
    this.logger.log({ ...summary, ms, msg: 'Images are cleaned up' });
    if (summary.left > 0) {
      this.logger.warn({
        left: summary.left,
        heldBack: summary.heldBack,
        msg: 'Images need a look: run `npm run images:verify`',
      });
    }
    return summary.repaired;
  }

  private async deleteExpired(round: Round): Promise<void> {
    for await (const images of this.retention.find(round.options.signal)) {
      const deleted = round.options.repair ? await this.retention.delete(images) : undefined;
      for (const { id, storage_key: key } of images) {
        if (deleted && !deleted.has(id)) continue;
        const outcome = deleted ? 'repaired' : 'found';
        round.note({ kind: 'expired-upload', imageId: id, key, remedy: 'delete', outcome });
      }
    }
  }

  private async repairLost(round: Round): Promise<void> {
    const { checksums, signal } = round.options;
    const looks = round.counting('images', this.lostFiles.find(checksums, signal));
    for await (const { suspect, isAllowed } of withBrake(looks, isGivenUp)) {
      const { id: imageId, faults, remedy } = suspect;
      const outcome = await round.settle(remedy, isAllowed, () =>
        this.lostFiles.repair(suspect, checksums),
      );
      if (!outcome) continue;
      for (const { kind, key } of faults) round.note({ kind, imageId, key, remedy, outcome });
    }
  }

  private async removeStrays(round: Round): Promise<void> {
    const looks = round.counting('files', this.strayFiles.find(round.options.signal));
    for await (const { suspect: key, isAllowed } of withBrake(looks)) {
      const outcome = await round.settle('remove', isAllowed, () => this.strayFiles.remove(key));
      if (outcome)
        round.note({ kind: 'stray-file', imageId: null, key, remedy: 'remove', outcome });
    }
  }
}

function isGivenUp({ remedy }: FaultyImage): boolean {
  return remedy === 'mark-failed';
}

/** One round: what it was asked for, and what it has seen and done so far. */
class Round {
  readonly summary = emptySummary();

  constructor(readonly options: UpkeepOptions) {}

  /** Passes on what is looked at, and counts it. */
  async *counting<T>(
    what: 'files' | 'images',
    looks: AsyncIterable<Look<T>>,
  ): AsyncGenerator<Look<T>> {
    for await (const look of looks) {
      this.summary[what] += look.looked;
      yield look;
    }
  }

  /**
   * Repairs a finding if that is wanted, possible and allowed.
   *
   * @param repair returns false when the finding is none any more
   * @returns undefined then: it was somebody's work in between
   */
  async settle(
    remedy: Remedy,
    isAllowed: boolean,
    repair: () => Promise<boolean>,
  ): Promise<Outcome | undefined> {
    if (!this.options.repair) return 'found';
    if (remedy === 'none') return 'left';
    if (!isAllowed && !this.options.force) {
      this.summary.heldBack += 1;
      return 'left';
    }
    this.options.signal.throwIfAborted();
    return (await repair()) ? 'repaired' : undefined;
  }

  note(finding: Finding): void {
    this.summary.findings[finding.kind] += 1;
    this.summary[finding.outcome === 'repaired' ? 'repaired' : 'left'] += 1;
    this.options.report?.(finding);
  }
}
