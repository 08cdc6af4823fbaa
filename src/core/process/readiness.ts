import { Injectable, Logger } from '@nestjs/common';
import { inTime } from '../in-time.js';
import { SharedAnswer } from '../shared-answer.js';

/** Answers when a part can do its work, and throws when it cannot. */
type Check = () => Promise<unknown>;

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  /** Whether the process is not ready without it; else it does with less. */
  readonly isRequired: boolean;
}

const CHECK_TIMEOUT_MS = 2_000;
/** How long results serve all who ask, in milliseconds: anybody may, and the checks are work. */
const FRESH_MS = 1_000;

/** The checks behind `GET /health/ready`; each part registers its own. */
@Injectable()
export class Readiness {
  private readonly logger = new Logger(Readiness.name);
  private readonly checks = new Map<string, { check: Check; isRequired: boolean }>();
  private readonly failing = new Set<string>();
  private readonly results = new SharedAnswer(() => this.runAll(), FRESH_MS);

  register(name: string, check: Check, { isRequired = true } = {}): void {
    this.checks.set(name, { check, isRequired });
  }

  /** What the checks have found within the last second, or find now. */
  run(): Promise<CheckResult[]> {
    return this.results.get();
  }

  /** Runs all checks side by side; one that takes longer than two seconds has failed. */
  private runAll(): Promise<CheckResult[]> {
    return Promise.all(
      [...this.checks].map(async ([name, { check, isRequired }]) => {
        const error = await failureOf(check);
        this.report(name, error);
        return { name, ok: error === undefined, isRequired };
      }),
    );
  }

  /** Tells each change once: probes come every few seconds. */
  private report(check: string, error: Error | undefined): void {
    if (error && !this.failing.has(check)) {
      this.failing.add(check);
      this.logger.warn({ err: error, check, msg: 'Not ready' });
    } else if (!error && this.failing.delete(check)) {
      this.logger.log({ check, msg: 'Ready again' });
    }
  }
}

async function failureOf(check: Check): Promise<Error | undefined> {
  try {
    await inTime(check(), CHECK_TIMEOUT_MS);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
