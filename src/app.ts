import cookie from '@fastify/cookie';
import cors, { type FastifyCorsOptions } from '@fastify/cors';
import multipart from '@fastify/multipart';
import { EntityManager } from '@mikro-orm/postgresql';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { serveDocs } from './api-docs.js';
import { AppModule } from './app.module.js';
import { withOwnEntityManager } from './core/database/own-entity-manager.js';
import { Connections } from './core/http/connections.js';
import type { Env } from './core/env.js';
import { addRequestHooks, serverOptions } from './core/http/http.js';
import { isProbe } from './core/http/probe.js';
import { beginRequestSpan } from './core/http/request-spans.js';
import { securityHeaders } from './core/http/security-headers.js';
import { measureConnections, measureRequests } from './core/metrics/http-metrics.js';
import { Metrics } from './core/metrics/metrics.js';
import type { PinoNestLogger } from './core/process/logging.js';
import { ProblemFilter } from './core/problems/problem.filter.js';
import { limitArrivals, RequestLimits } from './core/rate-limits/request-limits.js';
import { Tracing } from './core/tracing/tracing.js';
import { ValidationPipe } from './core/http/validation.js';
import { rewriteFirstClientRoute } from './first-client-routes.js';
import { OFFSET_STREAM, TUS_HEADERS } from './images/resumable/resumable-protocol.js';

/** Answer headers that scripts of other origins need to see. */
const EXPOSED_HEADERS = [
  'accept-ranges',
  'content-disposition',
  'content-range',
  'etag',
  'idempotency-replayed',
  'location',
  'preference-applied',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'retry-after',
  'x-request-id',
  ...TUS_HEADERS,
];

/**
 * Puts the API together, ready to listen. Tests start the product through here as well.
 *
 * @param logger where Nest and everything else writes
 */
export async function createApp(env: Env, logger: PinoNestLogger): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter(serverOptions(env, rewriteFirstClientRoute));
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(env), adapter, {
    logger,
    rawBody: true,
    bodyParser: false,
    abortOnError: false,
  });
  takeBodies(app, env);
  measureRequests(adapter.getInstance(), app.get(Metrics));
  measureConnections(app.get(Connections), app.get(Metrics));
  attendRequests(app, env, logger);
  await app.register(cors, corsOptions(env));
  // After it, so that scripts of other origins can read a refusal, and preflights cost nobody anything.
  limitArrivals(adapter.getInstance(), app.get(RequestLimits));
  // Read where they are needed: few requests have any.
  await app.register(cookie, { hook: false });
  await app.register(multipart);
  app.useGlobalFilters(new ProblemFilter());
  app.useGlobalPipes(new ValidationPipe());
  serveDocs(app);
  return app;
}

/**
 * JSON, and multipart or parts of files where a route asks for it: a form on another site can send
 * none of them.
 */
function takeBodies(app: NestFastifyApplication, env: Env): void {
  const server = app.getHttpAdapter().getInstance();
  server.removeAllContentTypeParsers();
  app.useBodyParser('application/json', { bodyLimit: env.JSON_MAX_BYTES });
  server.addContentTypeParser(OFFSET_STREAM, (_request, _payload, done) => {
    done(null);
  });
}

/** What every request goes through before its route, in this order, and the log of its answer. */
function attendRequests(app: NestFastifyApplication, env: Env, logger: PinoNestLogger): void {
  const server = app.getHttpAdapter().getInstance();
  const em = app.get(EntityManager);
  const tracing = app.get(Tracing);
  const requests = logger.ofKnownFields('Http');
  const headers = securityHeaders();
  server.addHook('onRequest', (_request, reply, proceed) => {
    void reply.headers(headers);
    proceed();
  });
  addRequestHooks(server, env, {
    connections: app.get(Connections),
    trace: (request, reply) => beginRequestSpan(tracing, request, reply),
    enter: (proceed) => {
      withOwnEntityManager(em, proceed);
    },
    log: (entry) => {
      // Probes and scrapers come every few seconds and say nothing new.
      if (isProbe(entry.path)) requests.debug(entry);
      else requests.info(entry);
    },
  });
}

function corsOptions(env: Env): FastifyCorsOptions {
  return {
    origin: [...env.CORS_ORIGINS],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    strictPreflight: false,
    exposedHeaders: EXPOSED_HEADERS,
  };
}
