import fastifyStatic from '@fastify/static';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import swaggerUi from 'swagger-ui-dist';
import { VERSION } from './api-document.js';
import { describeApi } from './core/openapi.js';

const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

/** Swagger UI writes style attributes; scripts come from here alone. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atelier API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
`;

const START_SCRIPT = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
`;

/** The look of the few pages for people. */
const PAGE_STYLE = `:root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; }
code { font-size: 0.95em; }
`;

/** Serves the OpenAPI document at `/openapi.json` and Swagger UI at `/docs`. */
export async function serveDocs(app: NestFastifyApplication): Promise<void> {
  const server = app.getHttpAdapter().getInstance();
  let document: string | undefined;
  await app.register(fastifyStatic, { root: swaggerUi.getAbsoluteFSPath(), serve: false });

  server.get('/openapi.json', (_request, reply) => {
    document ??= JSON.stringify(describeApi(app, VERSION));
    return send(reply, 'application/json; charset=utf-8', document);
  });
  for (const path of ['/docs', '/docs/']) {
    server.get(path, (_request, reply) => send(reply, 'text/html; charset=utf-8', PAGE));
  }
  server.get('/docs/start.js', (_request, reply) =>
    send(reply, 'text/javascript; charset=utf-8', START_SCRIPT),
  );
  server.get('/docs/page.css', (_request, reply) =>
    send(reply, 'text/css; charset=utf-8', PAGE_STYLE),
  );
  for (const asset of ASSETS) {
    server.get(`/docs/${asset}`, (_request, reply) => reply.sendFile(asset, { maxAge: '1h' }));
  }
}

/** Replaces helmet's policy on pages for people. */
export function allowPage(reply: FastifyReply): FastifyReply {
  return reply.header('content-security-policy', PAGE_POLICY);
}

function send(reply: FastifyReply, type: string, body: string): FastifyReply {
  return allowPage(reply).type(type).send(body);
}
