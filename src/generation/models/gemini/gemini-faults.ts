import { z } from 'zod';
import { ModelRefusal, ModelUnavailable, type ModelUnavailableCode } from '../model-errors.js';
import { AnswerTooLong, GeminiRefused } from './bounded-fetch.js';

/** The names of https://cloud.google.com/apis/design/errors#error_codes; others are not repeated. */
const STATUS =
  /^(INVALID_ARGUMENT|FAILED_PRECONDITION|OUT_OF_RANGE|UNAUTHENTICATED|PERMISSION_DENIED|NOT_FOUND|ABORTED|ALREADY_EXISTS|RESOURCE_EXHAUSTED|CANCELLED|DATA_LOSS|UNKNOWN|INTERNAL|NOT_IMPLEMENTED|UNAVAILABLE|DEADLINE_EXCEEDED)$/;
/** A duration in JSON, such as `37.5s`. */
const DURATION = /^(\d+(?:\.\d+)?)s$/;
/** More than anybody means; it keeps nonsense from overflowing what is counted with it. */
const MOST_REST_MS = 24 * 60 * 60 * 1_000;

/** What of a refusal is read: https://cloud.google.com/apis/design/errors#error_model */
const refusalBody = z.object({
  error: z.object({
    status: z.string().regex(STATUS).optional().catch(undefined),
    details: z
      .array(
        z.object({
          reason: z.string().optional().catch(undefined),
          retryDelay: z.string().optional().catch(undefined),
        }),
      )
      .catch([]),
  }),
});

export interface GeminiFault {
  readonly error: ModelRefusal | ModelUnavailable;
  /** What Gemini answers where only the operator can mend it, for logs; else undefined. */
  readonly alarm?: string;
}

/**
 * What to make of whatever a call threw. Nothing that Google has worded goes on: it may quote the
 * request, and the key with it.
 */
export function faultOf(error: unknown): GeminiFault {
  if (error instanceof GeminiRefused) return faultOfAnswer(error);
  const causes = [...causesOf(error)];
  if (causes.some(({ name }) => name === AnswerTooLong.name)) {
    return { error: new ModelRefusal('bad-output', 'The model sent more than a picture.') };
  }
  // The SDK aborts by itself when the time is up.
  if (causes.some(({ name }) => name === 'AbortError' || name === 'TimeoutError')) {
    return { error: new ModelUnavailable('timeout', 'Gemini gives no answer in time') };
  }
  const message = `Gemini cannot be asked, or not understood: ${nameOf(causes)}`;
  return { error: new ModelUnavailable('unavailable', message) };
}

/** Busy, too slow and broken pass. All else is the same the next time: a key, a bill, a region, a size. */
function faultOfAnswer({ status, body, retryAfter }: GeminiRefused): GeminiFault {
  const { data } = refusalBody.safeParse(body);
  const details = data?.error.details ?? [];
  const isKey = details.some(({ reason }) => reason === 'API_KEY_INVALID');
  const reason = isKey ? 'API_KEY_INVALID' : (data?.error.status ?? '');
  const answer = `Gemini answers ${status} ${reason}`.trimEnd();
  const code = passingCodeOf(status);
  if (code) {
    const rest = details.map(({ retryDelay }) => millisecondsOf(retryDelay)).find(Boolean);
    return { error: new ModelUnavailable(code, answer, rest ?? waitOf(retryAfter)) };
  }
  return { error: refusalOf(status), alarm: answer };
}

function passingCodeOf(status: number): ModelUnavailableCode | undefined {
  if (status === 429) return 'rate-limited';
  if (status === 408 || status === 504) return 'timeout';
  return status >= 500 ? 'unavailable' : undefined;
}

/** Never the client's fault, and nothing that it could mend. */
function refusalOf(status: number): ModelRefusal {
  return status === 404
    ? new ModelRefusal('model-retired', 'The model is not offered any more.')
    : new ModelRefusal(
        'unavailable',
        'The model cannot be asked at present. What does not come is not charged.',
      );
}

/** Seconds, or a date: RFC 9110 section 10.2.3. */
function waitOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  const isSeconds = /^\d+$/.test(header);
  return restOf(isSeconds ? Number(header) * 1_000 : Date.parse(header) - Date.now());
}

function millisecondsOf(duration: string | undefined): number | undefined {
  const [, seconds] = DURATION.exec(duration ?? '') ?? [];
  return restOf(Number(seconds) * 1_000);
}

/** Undefined for what is over, and for what is no number. */
function restOf(ms: number): number | undefined {
  return ms > 0 ? Math.min(Math.ceil(ms), MOST_REST_MS) : undefined;
}

/** An error and what caused it. Not by `instanceof`: Node's own may come from another context. */
function* causesOf(error: unknown): Generator<Partial<NodeJS.ErrnoException>> {
  for (let at = error; typeof at === 'object' && at !== null;) {
    const { cause }: Partial<Error> = at;
    yield at;
    at = cause;
  }
}

/** What the system says, such as `ECONNREFUSED`, or else the kind of the error. */
function nameOf(causes: Partial<NodeJS.ErrnoException>[]): string {
  const names = [...causes.map(({ code }) => code), ...causes.map(({ name }) => name)];
  return names.find((name = '') => /^\w{1,60}$/.test(name)) ?? 'Error';
}
