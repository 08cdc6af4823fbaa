/** What an error tells an operator, without what it may carry of other people's data. */
export interface ErrorDescription {
  type: string;
  message: string;
  /** The library's own code, such as PostgreSQL's `23505`. */
  code?: string;
  constraint?: string;
  stack?: string;
  cause?: ErrorDescription;
}

/** Errors of libraries hold whole rows, connections and requests: only these fields are taken. */
export function describeError(error: unknown): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error, message: 'Not an Error' };
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  const message = withoutRows(error.message);
  return {
    type: error.name,
    message,
    ...(typeof code === 'string' && { code }),
    ...(typeof constraint === 'string' && { constraint }),
    stack: [`${error.name}: ${message}`, ...framesOf(error)].join('\n'),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  };
}

/** A stack begins with the message as it was: only what comes after it is taken. */
function framesOf({ stack = '' }: Error): string[] {
  return stack.split('\n').filter((line) => /^\s+at /.test(line));
}

/** PostgreSQL's details quote what was to be written, and MikroORM the statement with its values. */
function withoutRows(message: string): string {
  return message
    .replace(/Failing row contains [\s\S]*/, 'Failing row left out')
    .replace(/^detail: .*$/gim, 'detail left out')
    .replace(/^(?:insert into|update|delete from|select|with) [\s\S]* - /, '');
}
