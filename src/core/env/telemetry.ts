import { z } from 'zod';
import { documented } from './documented.js';
import { bearerToken, decimalNumber, headers, httpUrl, whole } from './values.js';

export const telemetryVariables = {
  METRICS_TOKEN: documented(bearerToken(16).optional(), {
    help: 'Lets who sends it as `Authorization: Bearer` read /metrics from other machines. Default: only this machine may.',
    example: '<openssl rand -base64 24>',
  }),
  WORKER_METRICS_PORT: documented(whole(0, { min: 0, max: 65_535 }), {
    help: 'The port on which the worker serves /metrics and /health, at HOST; 0 takes any free one. `npm start` keeps the one that it took.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: documented(httpUrl.optional(), {
    help: 'The collector that traces are sent to, by OTLP over HTTP, at /v1/traces below it. Default: nothing is traced.',
    example: 'http://localhost:4318',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: documented(headers.optional(), {
    help: 'Headers for the collector, as name=value, URL-encoded and separated by commas.',
    example: 'authorization=Bearer%20token',
  }),
  OTEL_TRACES_SAMPLER_ARG: documented(decimalNumber({ min: 0, max: 1 }).default(1), {
    help: 'The part of the traces that is recorded, from 0 to 1; one that a client began goes on as that decided.',
  }),
  OTEL_SERVICE_NAME: documented(z.string().min(1).default('atelier'), {
    help: 'The name of the product in traces.',
  }),
};
