import { STATUS_CODES } from 'node:http';

/** One invalid field of a request, as listed in `errors[]`. */
export interface FieldError {
  /** Where: `body.email`, `query.limit`, … */
  path: string;
  /** What is wrong, for people. */
  message: string;
}

/** What a kind of problem is: one entry of the catalogue behind `GET /problems/:code`. */
export interface ProblemDefinition {
  /** The stable name that clients test for, in kebab-case. */
  readonly code: string;
  readonly status: number;
  /** A short, constant name for people. */
  readonly title: string;
  /** What happened and what to do about it, for the page of this problem. */
  readonly help: string;
  /**
   * Whether a status of 500 or above is a refusal that is meant, such as that of a part which nobody
   * has set up: it is no fault, and alarms nobody.
   */
  readonly isMeant?: boolean;
}

interface ProblemOptions extends ErrorOptions {
  errors?: FieldError[];
  /** Response headers, such as `Retry-After`. */
  headers?: Record<string, string>;
  /** Members of its own, as RFC 9457 section 3.2 allows. */
  extensions?: Record<string, string | number>;
}

/** An error that is answered to the client as RFC 9457 `application/problem+json`. */
export class Problem extends Error {
  readonly errors: FieldError[] | undefined;
  readonly headers: Record<string, string>;
  readonly extensions: Record<string, string | number>;

  constructor(
    readonly definition: ProblemDefinition,
    /** What happened this time; must hold nothing secret. */
    detail?: string,
    options: ProblemOptions = {},
  ) {
    super(detail ?? definition.title, options);
    this.name = 'Problem';
    this.errors = options.errors;
    this.headers = options.headers ?? {};
    this.extensions = options.extensions ?? {};
  }

  get status(): number {
    return this.definition.status;
  }

  get code(): string {
    return this.definition.code;
  }

  /** Whether it tells of a fault of ours, or of something that is away. */
  get isFault(): boolean {
    return this.status >= 500 && this.definition.isMeant !== true;
  }

  /** The body of the answer. */
  toJSON(requestId: string | undefined): Record<string, unknown> {
    return {
      type: `/problems/${this.code}`,
      title: this.definition.title,
      status: this.status,
      detail: this.message,
      code: this.code,
      ...(this.errors && { errors: this.errors }),
      ...this.extensions,
      ...(requestId !== undefined && { requestId }),
    };
  }
}

const catalogue = new Map<string, ProblemDefinition>();

/**
 * Adds a kind of problem to the catalogue. Each feature defines its own beside its rules.
 *
 * @throws Error at import time when the code is already taken
 */
export function defineProblem(definition: ProblemDefinition): ProblemDefinition {
  if (catalogue.has(definition.code)) {
    throw new Error(`The problem ${definition.code} is defined twice`);
  }
  catalogue.set(definition.code, Object.freeze(definition));
  return definition;
}

/** The definition behind a code, if any. */
export function findProblem(code: string): ProblemDefinition | undefined {
  return catalogue.get(code);
}

/** Every kind of problem that this process knows, by code. */
export function allProblems(): ProblemDefinition[] {
  return [...catalogue.values()].sort((a, b) => a.code.localeCompare(b.code));
}

export const malformed = defineProblem({
  code: 'malformed',
  status: 400,
  title: 'The request cannot be parsed',
  help: 'The URL, the headers or the JSON of the request are not well-formed. Send it again after correcting its syntax.',
});

export const validationFailed = defineProblem({
  code: 'validation-failed',
  status: 422,
  title: 'The request is not valid',
  help: 'The request can be parsed, but some of its fields are missing, unknown or out of bounds. `errors` lists each of them.',
});

export const unauthenticated = defineProblem({
  code: 'unauthenticated',
  status: 401,
  title: 'Sign in first',
  help: 'The route needs an access token: `Authorization: Bearer <accessToken>`. The token is missing, expired or not valid.',
});

export const forbidden = defineProblem({
  code: 'forbidden',
  status: 403,
  title: 'Not allowed',
  help: 'You are signed in, but your account may not do this.',
});

export const notFound = defineProblem({
  code: 'not-found',
  status: 404,
  title: 'Not found',
  help: 'There is nothing at this address, or it belongs to someone else.',
});

export const methodNotAllowed = defineProblem({
  code: 'method-not-allowed',
  status: 405,
  title: 'The method is not allowed here',
  help: 'There is something at this address, but not for this method. `Allow` names those that it takes.',
});

export const requestTimeout = defineProblem({
  code: 'request-timeout',
  status: 408,
  title: 'The request took too long to arrive',
  help: 'The headers or the body of the request were not sent in time. Send it again.',
});

export const conflict = defineProblem({
  code: 'conflict',
  status: 409,
  title: 'Conflict',
  help: 'The request contradicts the present state. Read it again, then decide.',
});

export const payloadTooLarge = defineProblem({
  code: 'payload-too-large',
  status: 413,
  title: 'The body is too large',
  help: 'The body of the request is larger than this route takes.',
});

export const uriTooLong = defineProblem({
  code: 'uri-too-long',
  status: 414,
  title: 'The URL is too long',
  help: 'A part of the path is longer than any that exists.',
});

export const unsupportedMediaType = defineProblem({
  code: 'unsupported-media-type',
  status: 415,
  title: 'Unsupported content type',
  help: 'The route does not take a body of this Content-Type: JSON routes take `application/json`, uploads `multipart/form-data`.',
});

export const expectationFailed = defineProblem({
  code: 'expectation-failed',
  status: 417,
  title: 'The expectation cannot be met',
  help: 'The only `Expect` header that the server knows is `100-continue`.',
});

export const tooManyRequests = defineProblem({
  code: 'too-many-requests',
  status: 429,
  title: 'Too many requests',
  help: 'You, your address or this account has used up what may be sent within a minute. Send it again after `Retry-After` seconds; `RateLimit-Limit` is how many are taken.',
});

export const headersTooLarge = defineProblem({
  code: 'headers-too-large',
  status: 431,
  title: 'The headers are too large',
  help: 'The request line and the headers together are larger than the server takes.',
});

export const internalError = defineProblem({
  code: 'internal-error',
  status: 500,
  title: 'Something went wrong on our side',
  help: 'The fault is ours and has been logged. Quote the request id when you report it.',
});

export const unavailable = defineProblem({
  code: 'unavailable',
  status: 503,
  title: 'Not available right now',
  help: 'A part that this request needs cannot be reached, or the server is shutting down. Try again after `Retry-After` seconds.',
});

const generalByStatus = new Map(
  [
    malformed,
    unauthenticated,
    forbidden,
    notFound,
    methodNotAllowed,
    requestTimeout,
    conflict,
    payloadTooLarge,
    uriTooLong,
    unsupportedMediaType,
    expectationFailed,
    validationFailed,
    tooManyRequests,
    headersTooLarge,
    internalError,
    unavailable,
  ].map((definition) => [definition.status, definition]),
);

/** The general problem for an HTTP status that a library chose. */
export function problemForStatus(status: number): ProblemDefinition {
  return (
    generalByStatus.get(status) ?? {
      code: status < 500 ? 'malformed' : 'internal-error',
      status,
      title: STATUS_CODES[status] ?? 'Error',
      help: '',
    }
  );
}
