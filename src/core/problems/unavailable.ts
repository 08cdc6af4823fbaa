/**
 * A part that the product stands on cannot be reached, or refuses for now: requests answer 503, and
 * work is tried again.
 *
 * The message goes to logs: it must hold neither addresses nor keys.
 */
export class Unavailable extends Error {
  constructor(
    message: string,
    /** The part's own name for what happened, such as `SlowDown` or `ECONNREFUSED`. */
    readonly code: string,
  ) {
    super(message);
    this.name = 'Unavailable';
  }
}

/**
 * PostgreSQL's classes and codes for "not now" (a pooler's are of class 08), what Node says without a
 * server or with one whose certificate is not the right one, what a disk says that is full or broken,
 * and what the kernel says when it has no file descriptor, port or memory for one more connection:
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 *
 * 25006 is a primary that has become a standby, 28… a password that was changed.
 */
const CODES =
  /^(08...|28...|53...|57P0[1-5]|57014|55P03|25P03|25006|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|EMFILE|ENFILE|EADDRNOTAVAIL|ENOBUFS|ENOSPC|EDQUOT|EROFS|EIO|[A-Z_]*CERT[A-Z_]*|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/;

/** What a pool says when nothing became free in time. */
const POOL_EXHAUSTED = /timeout exceeded when trying to connect/;

/** What pg says without a code. */
const MESSAGES =
  /Query read timeout|Connection terminated|connection timeout|timeout expired|is not queryable|does not support SSL/i;

/** Whether something failed because a part cannot be reached, or is too busy: it may work later. */
export function isUnavailable(exception: unknown): boolean {
  // Not by `instanceof`: Node's own errors may come from another context than the code.
  for (let at = exception; typeof at === 'object' && at !== null;) {
    const { code = '', message = '', cause }: Partial<NodeJS.ErrnoException> = at;
    if (at instanceof Unavailable || CODES.test(code)) return true;
    if (POOL_EXHAUSTED.test(message) || MESSAGES.test(message)) return true;
    at = cause;
  }
  return false;
}

/** Whether there was no connection to be had in time, because others used them all. */
export function isPoolExhausted(exception: unknown): boolean {
  return exception instanceof Error && POOL_EXHAUSTED.test(exception.message);
}
