import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import type { Connections } from './connections.js';
import type { Env } from '../env.js';
import { hasBody } from './has-body.js';
import {
  expectationFailed,
  methodNotAllowed,
  Problem,
  requestTimeout,
  unsupportedMediaType,
} from '../problems/problem.js';
import { sendProblem, toProblem } from '../problems/problem.filter.js';
import { runInContext } from '../request-context.js';
import { rawProblemResponse, refuseClientError } from './raw-refusal.js';
import { problemWithHost, useHostOfTarget } from './request-host.js';
import { toldPath } from './told-path.js';
import { trustedProxies } from './trusted-proxies.js';
import type { Span } from '../tracing/span.js';

/** Longer than any id or code in a path. */
const MAX_PARAM_LENGTH = 300;
const REQUEST_ID = /^[\w.-]{1,100}$/;
/** After how long a connection on which nothing moves is closed: longer than any wait. */
const SILENCE_MS = 60_000;
/**
 * How long a connection is kept between requests. An answer that the kernel has taken may still be
 * unread, so that this ends slow readers of small answers, too. Proxies that we trust get longer.
 */
const KEEP_ALIVE_MS = 30_000;
/** How often Node looks for connections that are too slow, in milliseconds. */
const CONNECTIONS_CHECK_MS = 1_000;

/** How Fastify is to listen: limits of size and time, and errors that are problems as well. */
export function serverOptions(
  env: Env,
  rewrite: (method: string | undefined, url: string) => string,
): FastifyServerOptions & { http: object } {
  return {
    logger: false,
    bodyLimit: env.JSON_MAX_BYTES,
    requestTimeout: env.UPLOAD_TIMEOUT_MS,
    connectionTimeout: SILENCE_MS,
    keepAliveTimeout: Math.min(KEEP_ALIVE_MS, env.KEEP_ALIVE_TIMEOUT_MS),
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    // Fastify's own way to tell takes none for a proxy that is written with its port.
    trustProxy: env.TRUST_PROXY.length > 0 && trustedProxies(env),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH, ignoreTrailingSlash: false },
    http: {
      maxHeaderSize: env.HEADERS_MAX_BYTES,
      headersTimeout: env.REQUEST_TIMEOUT_MS,
      // Node would refuse it without a word; the hook below refuses it with one.
      requireHostHeader: false,
      connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
    },
    rewriteUrl: ({ method, url }) => rewrite(method, url ?? '/'),
    genReqId: ({ headers }) => {
      // Not one that sorts, as the ids of rows do: it takes ten times as long to make.
      const given = headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
    schemaController: {
      compilersFactory: { buildValidator: refuseSchema, buildSerializer: refuseSchema },
    },
    frameworkErrors: (error, request, reply) => {
      sendProblem(toProblem(error), request, reply);
    },
    clientErrorHandler: refuseClientError,
  };
}

/**
 * Zod checks what comes, so that no route has a schema of Fastify's. Without this, Fastify would load
 * its compilers for them all the same: a hundred files at each start.
 */
function refuseSchema(): never {
  throw new Error('A route has a schema of Fastify: it would not be checked here.');
}

/** Types of bodies that routes read by themselves while they come. */
const STREAMED_TYPE = /^(multipart\/form-data|application\/offset\+octet-stream)\s*(;|$)/i;

/** What is special about a route. */
interface RouteOptions {
  /** The one {@link STREAMED_TYPE} that it takes; without it a route takes JSON or nothing. */
  streams?: 'multipart/form-data' | 'application/offset+octet-stream';
  /** Headers of all its answers, refusals among them. */
  headers?: Readonly<Record<string, string>>;
  /** For the CORS plugin: whether the route answers OPTIONS by itself. */
  cors?: { preflightContinue: boolean };
}

/** Lets a route be different. */
export function Route(options: RouteOptions) {
  return RouteConfig(options);
}

/** Lets a route take `multipart/form-data`. */
export function AcceptsMultipart() {
  return Route({ streams: 'multipart/form-data' });
}

interface RequestHooks {
  /** Begins the span of a request, in a process that traces. */
  trace: (request: FastifyRequest, reply: FastifyReply) => Span | undefined;
  /** Runs the rest of the request in whatever contexts it needs. */
  enter: (proceed: () => void) => void;
  connections: Connections;
  /** One line for each request that was answered. */
  log: (entry: { path: string } & Record<string, unknown>) => void;
}

/** What happens around every request: its context, its id, its log line, its time to arrive. */
export function addRequestHooks(server: FastifyInstance, env: Env, hooks: RequestHooks): void {
  hooks.connections.watch(server.server);
  // Node would leave out those beyond a number, and with them who a request is for and from.
  server.server.maxHeadersCount = 0;
  server.server.prependListener('request', useHostOfTarget);
  openRequests(server, hooks);
  refuseWhatNodeWould(server, hooks);
  refuseTypesOfBodies(server);
  limitTimeOfBodies(server, env);
  closeRequests(server, hooks);
}

/** One after the other on each connection, and each in a context of its own. */
function openRequests(server: FastifyInstance, { connections, trace, enter }: RequestHooks): void {
  server.addHook('onRequest', (request, reply, proceed) => {
    connections.inTurn(request.raw, reply.raw, proceed);
  });

  server.addHook('onRequest', (request, reply, proceed) => {
    void reply.headers({ 'x-request-id': request.id, ...routeOptions(request).headers });
    const connection = request.raw.socket;
    // The request itself: few need its address, which takes a while to find behind proxies.
    const context = { requestId: request.id, connection, sender: request };
    runInContext({ ...context, span: trace(request, reply) }, () => {
      enter(() => {
        proceed(problemWithHost(request.raw));
      });
    });
  });
}

/** What Node would refuse without a word. */
function refuseWhatNodeWould(server: FastifyInstance, { connections }: RequestHooks): void {
  // Node would answer an unknown expectation by itself, without a body.
  server.server.on('checkExpectation', (request: IncomingMessage) => {
    request.socket.end(rawProblemResponse(expectationFailed));
  });

  // Node would close the connection without a word. This is no proxy (RFC 9110 section 9.3.6).
  server.server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => undefined);
    // Who has sent it behind another request would take it for the answer to that.
    if (connections.isInUse(socket)) socket.destroy();
    else socket.end(rawProblemResponse(methodNotAllowed, 'allow: '), () => socket.destroy());
  });
}

function refuseTypesOfBodies(server: FastifyInstance): void {
  server.addHook('preParsing', (request, _reply, payload, proceed) => {
    const { streams } = routeOptions(request);
    const type = streamedType(request);
    const isTaken = streams !== undefined && type === streams;
    // Many HTTP clients name a type for a body that is not there.
    if (!isTaken && !hasBody(request)) delete request.headers['content-type'];
    const isRefused = !isTaken && type !== undefined && hasBody(request) && !request.is404;
    proceed(isRefused ? new Problem(unsupportedMediaType) : null, payload);
  });
}

function limitTimeOfBodies(server: FastifyInstance, env: Env): void {
  // Uploads watch their own progress; any other body must be there in one go.
  server.addHook('preParsing', (request, reply, payload, proceed) => {
    if (streamedType(request) || !hasBody(request)) {
      proceed(null, payload);
      return;
    }
    const timer = setTimeout(() => {
      const headers = { connection: 'close' };
      sendProblem(new Problem(requestTimeout, undefined, { headers }), request, reply);
    }, env.REQUEST_TIMEOUT_MS);
    request.raw.once('close', () => {
      clearTimeout(timer);
    });
    request.raw.once('end', () => {
      clearTimeout(timer);
    });
    proceed(null, payload);
  });
}

function closeRequests(server: FastifyInstance, { connections, log }: RequestHooks): void {
  server.addHook('onSend', (request, reply, payload, proceed) => {
    if (connections.isLastOn(request.raw)) void reply.header('connection', 'close');
    // Answers are for the one who asked, unless a route says otherwise.
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
    proceed(null, payload);
  });

  server.addHook('onResponse', (request, reply, proceed) => {
    log({
      method: request.method,
      path: toldPath(request.originalUrl),
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      msg: 'Request answered',
    });
    proceed();
  });
}

function routeOptions({ routeOptions: { config } }: FastifyRequest): RouteOptions {
  return config as RouteOptions;
}

function streamedType({ headers }: FastifyRequest): string | undefined {
  return STREAMED_TYPE.exec(headers['content-type'] ?? '')?.[1]?.toLowerCase();
}
