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
  return {
    type: error.name,
    message: withoutRows(error.message),
    ...(typeof code === 'string' && { code }),
    ...(typeof constraint === 'string' && { constraint }),
    ...(error.stack !== undefined && { stack: withoutRows(error.stack) }),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  };
}

/** PostgreSQL's details quote what was to be written, and MikroORM the statement with its values. */
function withoutRows(text: string): string {
  return text
    .replace(/Failing row contains \([\s\S]*?\)\.?(?=\n|$)/g, 'Failing row left out')
    .replace(/^(?:detail|DETAIL): .*$/gm, 'detail left out')
    .replace(/^(?:insert into|update|delete from|select) [\s\S]*? - /gm, 'statement left out - ');
}
