import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { cannotListen } from '../core/http/cannot-listen.js';
import { hasBody } from '../core/http/has-body.js';
import { listenHost } from '../core/http/listen-host.js';
import { refuseClientError } from '../core/http/raw-refusal.js';
import { problemWithHost, useHostOfTarget } from '../core/http/request-host.js';
import { Metrics } from '../core/metrics/metrics.js';
import { requireMetricsAccess } from '../core/metrics/metrics-access.js';
import { internalError, methodNotAllowed, notFound, Problem } from '../core/problems/problem.js';
import { PROBLEM_JSON, toProblem } from '../core/problems/problem.filter.js';
import { ConnectionLimit } from './connection-limit.js';
import { Health } from './health.service.js';

/** How long a request may take to arrive, and a connection be kept without one, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** After how long a connection on which nothing moves is closed, in milliseconds. */
const SILENCE_MS = 10_000;
const CONNECTIONS_CHECK_MS = 1_000;
const MAX_CONNECTIONS = 100;

interface Answer {
  type: string;
  body: string;
}

/**
 * The worker's own small server: /metrics, /health and /health/ready, under the rules of the API's.
 *
 * It goes on answering while running work is finished, so that a probe sees "not ready" and the
 * last figures are scraped; then it closes every connection.
 */
@Injectable()
export class WorkerServer implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Http');
  private readonly server: Server;

  constructor(
    private readonly metrics: Metrics,
    private readonly health: Health,
    @Inject(ENV) private readonly env: Env,
  ) {
    const options = {
      maxHeaderSize: env.HEADERS_MAX_BYTES,
      headersTimeout: TIMEOUT_MS,
      requestTimeout: TIMEOUT_MS,
      keepAliveTimeout: TIMEOUT_MS,
      // Node would refuse it without a word.
      requireHostHeader: false,
      connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
    };
    this.server = createServer(options, (request, response) => {
      // What the parser has read of a connection that was cut meanwhile is nobody's any more.
      if (request.socket.destroyed) return;
      useHostOfTarget(request);
      void this.answer(request, response);
    });
    this.server.on('clientError', refuseClientError);
    // Also one that does not read its answer.
    this.server.setTimeout(SILENCE_MS);
    new ConnectionLimit(MAX_CONNECTIONS).watch(this.server);
    // HEADERS_MAX_BYTES bounds them. Of those beyond a number Node would not say a word.
    this.server.maxHeadersCount = 0;
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** @throws CannotStart when the port cannot be had */
  async onApplicationBootstrap(): Promise<void> {
    const host = listenHost(this.env);
    const { WORKER_METRICS_PORT: port } = this.env;
    this.server.listen(port, host);
    try {
      await once(this.server, 'listening');
    } catch (error) {
      throw cannotListen(error, {
        who: 'The worker',
        host,
        port,
        variable: 'WORKER_METRICS_PORT',
      });
    }
  }

  async onApplicationShutdown(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { type, body } = await this.route(request);
      send(request, response, 200, { 'content-type': type }, body);
    } catch (error) {
      const problem = toProblem(error);
      if (problem.definition === internalError) this.logger.error({ err: error });
      const headers = { ...problem.headers, 'content-type': PROBLEM_JSON };
      send(request, response, problem.status, headers, JSON.stringify(problem.toJSON(undefined)));
    }
  }

  private async route(request: IncomingMessage): Promise<Answer> {
    const problem = problemWithHost(request);
    if (problem) throw problem;
    const path = request.url?.split('?')[0];
    const isKnown = path === '/metrics' || path === '/health' || path === '/health/ready';
    if (!isKnown) throw new Problem(notFound);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new Problem(methodNotAllowed, undefined, { headers: { allow: 'GET, HEAD' } });
    }
    if (path === '/health') return json(this.health.live());
    if (path === '/health/ready') return json(await this.health.ready());
    requireMetricsAccess(request, this.env.METRICS_TOKEN);
    return { type: this.metrics.contentType, body: await this.metrics.text() };
  }
}

function json(body: unknown): Answer {
  return { type: 'application/json; charset=utf-8', body: JSON.stringify(body) };
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: string,
): void {
  response.writeHead(status, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // What is left of a body that nobody asked for is not worth reading.
    ...(hasBody(request) && { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
