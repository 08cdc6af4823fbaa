import { Injectable } from '@nestjs/common';

/** Answers when a part can do its work, and throws when it cannot. */
type Check = () => Promise<unknown>;

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
}

const CHECK_TIMEOUT_MS = 2_000;

/** The checks behind `GET /health/ready`; each part registers its own. */
@Injectable()
export class Readiness {
  private readonly checks = new Map<string, Check>();

  register(name: string, check: Check): void {
    this.checks.set(name, check);
  }

  /** Runs all checks side by side; one that takes longer than two seconds has failed. */
  run(): Promise<CheckResult[]> {
    return Promise.all(
      [...this.checks].map(async ([name, check]) => ({ name, ok: await passes(check) })),
    );
  }
}

async function passes(check: Check): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, CHECK_TIMEOUT_MS, false);
  });
  try {
    return await Promise.race([check().then(() => true), late]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
