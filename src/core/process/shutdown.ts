import { Injectable } from '@nestjs/common';

/**
 * Whether this process is on its way out.
 *
 * An entry point calls {@link begin} on the first signal, before anything is closed: readiness
 * goes off, waits are answered at once, and no new work is taken.
 */
@Injectable()
export class Shutdown {
  private readonly controller = new AbortController();

  /** Aborts when the process has been asked to stop. */
  readonly signal: AbortSignal = this.controller.signal;

  get begun(): boolean {
    return this.signal.aborted;
  }

  begin(): void {
    this.controller.abort();
  }
}
