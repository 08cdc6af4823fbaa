import type { IncomingHttpHeaders } from 'node:http';

/** Whether a request brings a body: RFC 9112 section 6.3. */
export function hasBody({ headers }: { headers: IncomingHttpHeaders }): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}
