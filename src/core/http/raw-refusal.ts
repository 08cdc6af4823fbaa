import type { Socket } from 'node:net';
import {
  headersTooLarge,
  malformed,
  Problem,
  type ProblemDefinition,
  requestTimeout,
} from '../problems/problem.js';
import { PROBLEM_JSON } from '../problems/problem.filter.js';

/** What Node calls the faults of a client that are more than bad syntax. */
const CLIENT_ERRORS = new Map<string | undefined, ProblemDefinition>([
  ['HPE_HEADER_OVERFLOW', headersTooLarge],
  ['ERR_HTTP_REQUEST_TIMEOUT', requestTimeout],
]);

/** Answers what Node could not read as a request (`clientError`), and ends its connection. */
export function refuseClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  const problem = CLIENT_ERRORS.get(error.code) ?? malformed;
  if (socket.writable && error.code !== 'ECONNRESET') socket.write(rawProblemResponse(problem));
  socket.destroySoon();
}

/** The whole response to what is no request for the server above, with header lines of its own. */
export function rawProblemResponse(definition: ProblemDefinition, ...headers: string[]): string {
  const body = JSON.stringify(new Problem(definition).toJSON(undefined));
  return [
    `HTTP/1.1 ${definition.status} ${definition.title}`,
    `content-type: ${PROBLEM_JSON}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...headers,
    '',
    body,
  ].join('\r\n');
}
