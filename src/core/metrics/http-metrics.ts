import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { problemOf } from '../problems/answered-problems.js';
import type { Connections } from '../http/connections.js';
import { secondsSince } from './duration.js';
import type { Metrics } from './metrics.js';

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** What no route takes. */
const UNMATCHED = 'unmatched';
/** As nginx names it: the client went away before it had the whole answer. */
const CLIENT_GONE = 499;
/** Seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * Measures every request that could be parsed, also those that Fastify refuses without its hooks.
 *
 * Labels come from what we know, never from the request: a route's pattern, a method that exists.
 */
export function measureRequests(server: FastifyInstance, metrics: Metrics): void {
  const durations = metrics.histogram({
    name: 'atelier_http_request_duration_seconds',
    help: 'From the headers of a request to the end of its answer',
    labels: ['method', 'route', 'status'],
    buckets: BUCKETS,
  });
  const refusals = metrics.counter({
    name: 'atelier_http_refusals_total',
    help: 'Answers of status 500 or above that are no faults: refusals that are meant',
    labels: ['code'],
  });
  const inFlight = metrics.gauge({
    name: 'atelier_http_requests_in_flight',
    help: 'Requests that are being answered',
  });
  const routes = new WeakMap<IncomingMessage, string>();

  // Before Fastify's own listener, so that its time counts, and for what its router refuses.
  server.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const startedAt = performance.now();
    routes.set(request, UNMATCHED);
    inFlight.inc();
    // Comes always: `finish` does not when the client goes away.
    response.once('close', () => {
      inFlight.dec();
      const method = METHODS.has(request.method ?? '') ? request.method : 'OTHER';
      const status = response.writableFinished ? response.statusCode : CLIENT_GONE;
      durations.observe({ method, route: routes.get(request), status }, secondsSince(startedAt));
      const problem = problemOf(response);
      if (problem?.isMeant && status !== CLIENT_GONE) refusals.inc({ code: problem.code });
    });
  });

  server.addHook('onRequest', ({ raw, is404, routeOptions }, _reply, proceed) => {
    if (!is404 && routeOptions.url !== undefined) routes.set(raw, routeOptions.url);
    proceed();
  });
}

/** Tells how many connections the API has open. */
export function measureConnections(connections: Connections, metrics: Metrics): void {
  metrics.gauge({
    name: 'atelier_http_connections',
    help: 'Connections that are open, whether a request is on them or not',
    collect: (gauge) => {
      gauge.set(connections.count);
    },
  });
}
