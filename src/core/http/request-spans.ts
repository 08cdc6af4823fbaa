import type { FastifyReply, FastifyRequest } from 'fastify';
import { tellsOfFault } from '../problems/answered-problems.js';
import type { Span } from '../tracing/span.js';
import type { Tracing } from '../tracing/tracing.js';
import { isProbe } from './probe.js';
import { toldPath } from './told-path.js';

/**
 * Begins the span of a request, which ends with its answer. Its trace goes on from the client's
 * `traceparent` when there is one.
 *
 * Names and attributes are those of OpenTelemetry's conventions for HTTP servers:
 * https://opentelemetry.io/docs/specs/semconv/http/http-spans/
 */
export function beginRequestSpan(
  tracing: Tracing,
  request: FastifyRequest,
  reply: FastifyReply,
): Span | undefined {
  if (!tracing.isOn) return undefined;
  const route = request.is404 ? undefined : request.routeOptions.url;
  // Nobody looks for traces of that.
  if (route !== undefined && isProbe(route)) return undefined;
  const attributes = {
    'http.request.method': request.method,
    'url.scheme': request.protocol,
    'url.path': toldPath(request.originalUrl),
    'atelier.request_id': request.id,
    ...(route !== undefined && { 'http.route': route }),
  };
  const name = route === undefined ? request.method : `${request.method} ${route}`;
  const given = request.headers['traceparent'];
  const traceParent = typeof given === 'string' ? given : undefined;
  const span = tracing.begin(name, { kind: 'server', attributes }, traceParent);
  if (span) endWithAnswer(span, reply);
  return span;
}

function endWithAnswer(span: Span, { raw }: FastifyReply): void {
  raw.once('close', () => {
    span.set({ 'http.response.status_code': raw.statusCode });
    // The client's own faults are no errors of the server.
    if (!raw.writableFinished) span.end(new ClientGone());
    else span.end(tellsOfFault(raw) ? new ServerError(raw.statusCode) : undefined);
  });
}

/** Only their names are told. */
class ClientGone extends Error {
  override readonly name = 'client-gone';
}

class ServerError extends Error {
  constructor(status: number) {
    super();
    this.name = String(status);
  }
}
