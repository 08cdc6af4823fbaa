import { Logger } from '@nestjs/common';

/** The least time between two lines about one connection, in milliseconds. */
const QUIET_MS = 10_000;

/** What BullMQ's queues and workers have in common here. */
interface Reporter {
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/**
 * Tells of the errors of a connection to the queue, and of what is asked of it: an outage makes several
 * a second, and one line in ten seconds says as much.
 */
export class ConnectionErrors {
  private readonly logger = new Logger(ConnectionErrors.name);
  private toldAt = -Infinity;
  private untold = 0;

  /** @param meaning what each of the errors means */
  constructor(
    private readonly of: string,
    private readonly meaning = 'The connection to the queue reports an error',
  ) {}

  /** Notes the errors of a queue or a worker, which would otherwise be thrown. */
  listenTo(reporter: Reporter): void {
    reporter.on('error', (error) => {
      this.note(error);
    });
  }

  note(error: unknown): void {
    if (performance.now() - this.toldAt < QUIET_MS) {
      this.untold += 1;
      return;
    }
    this.logger.warn({ err: error, of: this.of, untold: this.untold, msg: this.meaning });
    this.toldAt = performance.now();
    this.untold = 0;
  }
}
