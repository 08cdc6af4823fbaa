import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
// Its main file would load all of the user interface, to tell where it is.
import swaggerUiFolder from 'swagger-ui-dist/absolute-path.js';
import { describeApi } from './core/openapi/openapi.js';
import { PAGE_POLICY, PAGE_STYLE, PAGE_STYLE_PATH } from './core/http/pages.js';
import { VERSION } from './core/process/version.js';

const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

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

/** Serves the OpenAPI document at `/openapi.json` and Swagger UI at `/docs`. */
export function serveDocs(app: NestFastifyApplication): void {
  const server = app.getHttpAdapter().getInstance();
  let document: Promise<string> | undefined;

  server.get('/openapi.json', async (_request, reply) => {
    document ??= describeApi(app, VERSION).then((api) => JSON.stringify(api));
    return send(reply, 'application/json; charset=utf-8', await document);
  });
  for (const path of ['/docs', '/docs/']) {
    server.get(path, (_request, reply) => send(reply, 'text/html; charset=utf-8', PAGE));
  }
  server.get('/docs/start.js', (_request, reply) =>
    send(reply, 'text/javascript; charset=utf-8', START_SCRIPT),
  );
  server.get(PAGE_STYLE_PATH, (_request, reply) =>
    send(reply, 'text/css; charset=utf-8', PAGE_STYLE),
  );
  for (const asset of ASSETS) {
    server.get(`/docs/${asset}`, (request, reply) => sendAsset(asset, request, reply));
  }
}

function send(reply: FastifyReply, type: string, body: string): FastifyReply {
  return reply.header('content-security-policy', PAGE_POLICY).type(type).send(body);
}

/** A file of Swagger UI, or the part of it that is asked for. */
async function sendAsset(
  asset: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { default: readAsset } = await import('@fastify/send');
  const answer = await readAsset(request.raw, asset, { root: swaggerUiFolder(), maxAge: '1h' });
  if (answer.type === 'error') throw answer.metadata.error;
  return reply.code(answer.statusCode).headers(answer.headers).send(answer.stream);
}
