import { z } from 'zod';
import { ModelRefusal, ModelUnavailable } from '../model-errors.js';
import { AnswerTooLong, GeminiRefused } from './bounded-fetch.js';

/** The names of https://cloud.google.com/apis/design/errors#error_codes; others are not repeated. */
const STATUS =
  /^(INVALID_ARGUMENT|FAILED_PRECONDITION|OUT_OF_RANGE|UNAUTHENTICATED|PERMISSION_DENIED|NOT_FOUND|ABORTED|ALREADY_EXISTS|RESOURCE_EXHAUSTED|CANCELLED|DATA_LOSS|UNKNOWN|INTERNAL|NOT_IMPLEMENTED|UNAVAILABLE|DEADLINE_EXCEEDED)$/;
/** A duration in JSON, such as `37.5s`. */
const DURATION = /^(\d{1,9}(?:\.\d{1,9})?)s$/;

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

/** What a call failed with, and whether only the operator can mend it. */
export interface GeminiFault {
  readonly error: ModelRefusal | ModelUnavailable;
  readonly isSetting: boolean;
}

/**
 * What to make of whatever a call threw. Nothing that Google has worded goes on: it may quote the
 * request, and the key with it.
 */
export function faultOf(error: unknown): GeminiFault {
  if (error instanceof GeminiRefused) return faultOfAnswer(error);
  const causes = [...causesOf(error)];
  if (causes.some(({ name }) => name === AnswerTooLong.name)) {
    return passing(new ModelRefusal('bad-output', 'The model sent more than a picture.'));
  }
  // The SDK aborts by itself when the time is up.
  if (causes.some(({ name }) => name === 'AbortError' || name === 'TimeoutError')) {
    return passing(new ModelUnavailable('timeout', 'Gemini gives no answer in time'));
  }
  const message = `Gemini cannot be asked, or not understood: ${nameOf(causes)}`;
  return passing(new ModelUnavailable('unavailable', message));
}

function faultOfAnswer({ status, body, retryAfter }: GeminiRefused): GeminiFault {
  const { data } = refusalBody.safeParse(body);
  const details = data?.error.details ?? [];
  const isKey = details.some(({ reason }) => reason === 'API_KEY_INVALID');
  const reason = isKey ? 'API_KEY_INVALID' : (data?.error.status ?? '');
  const message = `Gemini answers ${status} ${reason}`.trimEnd();
  const delay = details.map(({ retryDelay }) => millisecondsOf(retryDelay)).find(Boolean);
  const retryAfterMs = delay ?? waitOf(retryAfter);
  if (status === 404) {
    return setting(new ModelRefusal('model-retired', 'The model is not offered any more.'));
  }
  if (status === 429) return passing(new ModelUnavailable('rate-limited', message, retryAfterMs));
  if (status === 408 || status === 504) {
    return passing(new ModelUnavailable('timeout', message, retryAfterMs));
  }
  const fault = new ModelUnavailable('unavailable', message, retryAfterMs);
  // A key, a region, a bill that is not paid, or a size that the model does not know: never the client's.
  return status < 500 ? setting(fault) : passing(fault);
}

/** Seconds, or a date: RFC 9110 section 10.2.3. */
function waitOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return ms > 0 ? ms : undefined;
}

function millisecondsOf(duration: string | undefined): number | undefined {
  const [, seconds] = DURATION.exec(duration ?? '') ?? [];
  return seconds === undefined ? undefined : Math.ceil(Number(seconds) * 1_000);
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

function passing(error: GeminiFault['error']): GeminiFault {
  return { error, isSetting: false };
}

function setting(error: GeminiFault['error']): GeminiFault {
  return { error, isSetting: true };
}
