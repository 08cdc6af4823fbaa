import type { Logger } from '@nestjs/common';

/**
 * Tidies up after an attempt.
 *
 * @param isWritten whether the outcome that the work has returned is written: only then is it kept
 */
export type Tidy = (isWritten: boolean) => Promise<void>;

/** What is to be tidied up after an attempt. */
export class Tidyings {
  private readonly waiting: Tidy[] = [];
  private isWritten: boolean | undefined;

  constructor(private readonly logger: Logger) {}

  /** Work that goes on after its end tidies up at once. */
  add(tidy: Tidy): void {
    if (this.isWritten === undefined) this.waiting.push(tidy);
    else void this.run(tidy, this.isWritten);
  }

  /** Never throws. */
  async begin(isWritten: boolean): Promise<void> {
    this.isWritten = isWritten;
    await Promise.all(this.waiting.map((tidy) => this.run(tidy, isWritten)));
  }

  private async run(tidy: Tidy, isWritten: boolean): Promise<void> {
    try {
      await tidy(isWritten);
    } catch (error) {
      this.logger.warn({ err: error, msg: 'Tidying up after an attempt failed' });
    }
  }
}
