import type { IncomingMessage } from 'node:http';
import { malformed, Problem } from '../problems/problem.js';

/** A host, which may be empty, and perhaps a port: RFC 3986 sections 3.2.2 and 3.2.3. */
const HOST = /^(\[[\w.~:%-]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?$/;

/** A target with a scheme and an authority: RFC 3986 section 3. */
const ABSOLUTE = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)(.*)$/is;

/**
 * Where the target of a request names its host, makes that the request's Host, and leaves the path:
 * RFC 9112 section 3.2.2. Comes before all that reads either.
 */
export function useHostOfTarget(request: IncomingMessage): void {
  const [, host, rest = ''] = ABSOLUTE.exec(request.url ?? '') ?? [];
  if (host === undefined) return;
  request.headers.host = host;
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * What is wrong with the Host of a request, if anything: RFC 9112 section 3.2.
 *
 * Of two lines Node takes the first, and a proxy before us may have taken the second.
 */
export function problemWithHost(request: IncomingMessage): Problem | undefined {
  const lines = request.rawHeaders.filter(isNameOfHost).length;
  if (lines > 1) return new Problem(malformed, 'There is more than one Host header.');
  if (lines === 0 && request.httpVersion === '1.1') {
    return new Problem(malformed, 'The Host header is missing.');
  }
  const isPossible = HOST.test(request.headers.host ?? '');
  return isPossible ? undefined : new Problem(malformed, 'The request is for no possible host.');
}

/** Names and values take turns. */
function isNameOfHost(text: string, index: number): boolean {
  return index % 2 === 0 && text.toLowerCase() === 'host';
}
