/** The most of a picture that is read: at 4K it is some 30 MB as PNG, and base64 makes 40 of it. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Google's refusals are a few kilobytes. */
const MAX_REFUSAL_BYTES = 64 * 1024;

/** An answer with a status that is no success, as much of it as is of use. */
export class GeminiRefused extends Error {
  override readonly name = 'GeminiRefused';

  constructor(
    readonly status: number,
    /** Its body, which may quote what was sent: not for logs. */
    readonly body: unknown,
    readonly retryAfter: string | null,
  ) {
    super(`Gemini answers ${status}`);
  }
}

/** A picture of no size that was asked for, or no end of one. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
}

/**
 * `fetch` for the SDK, which holds whatever comes in memory and forgets headers of refusals. It goes
 * where no redirect leads, since the key is in a header: to be sent elsewhere is to be refused.
 *
 * @throws GeminiRefused, AnswerTooLong, and what fetch throws
 */
export async function boundedFetch(
  input: string | URL | Request,
  init?: RequestInit,
): Promise<Response> {
  const answer = await fetch(input, { ...init, redirect: 'manual' });
  if (answer.ok) return new Response(bounded(answer, MAX_ANSWER_BYTES), answer);
  const text = await new Response(bounded(answer, MAX_REFUSAL_BYTES)).text().catch(nothing);
  throw new GeminiRefused(answer.status, parsed(text), answer.headers.get('retry-after'));
}

/** What is too long closes the connection. */
function bounded({ body }: Response, most: number): ReadableStream<Uint8Array> | null {
  let left = most;
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      left -= chunk.byteLength;
      if (left >= 0) controller.enqueue(chunk);
      else controller.error(new AnswerTooLong());
    },
  });
  return body?.pipeThrough(counting) ?? null;
}

/** A status says enough by itself. */
function nothing(): string {
  return '';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
