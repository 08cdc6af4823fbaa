import { Problem } from '../../core/problems/problem.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { googleUnavailable } from './google.problems.js';

/** For one answer of Google, from the connection to its last byte, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** Google's are of a few kilobytes. */
const MAX_ANSWER_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = '10';

/** What Google has answered, whatever its status. */
export interface GoogleAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * Asks Google, within bounds of time and size, and goes where no redirect leads.
 *
 * @throws Problem `google-unavailable` when there is no such answer
 */
export async function askGoogle(url: string, init: RequestInit = {}): Promise<GoogleAnswer> {
  try {
    const answer = await fetch(url, {
      ...init,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: answer.status, text: await textOf(answer) };
  } catch (error) {
    throw googleAway('Google gives no answer', nameOf(error));
  }
}

/**
 * For whatever is not the client's fault. Why it is, only the log is told.
 *
 * @param code as {@link Unavailable} has it; nothing that Google has worded
 */
export function googleAway(message: string, code: string): Problem {
  return new Problem(googleUnavailable, undefined, {
    cause: new Unavailable(message, code),
    headers: { 'retry-after': RETRY_AFTER_SECONDS },
  });
}

async function textOf({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += part.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new RangeError('The answer is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/** What the system says, such as `ECONNREFUSED`, or else the kind of the error. */
function nameOf(error: unknown): string {
  const { name, cause } = error as Error;
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return code ?? name;
}
