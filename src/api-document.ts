import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { offlineEnv } from './core/env.js';
import { describeApi } from './core/openapi/openapi.js';
import { VERSION } from './core/process/version.js';

/** The text of `openapi.json`. Needs no database: nothing of the application is started. */
export async function openApiText(): Promise<string> {
  const app = await NestFactory.create(AppModule.forRoot(offlineEnv()), new FastifyAdapter(), {
    preview: true,
    logger: false,
    abortOnError: false,
  });
  return `${JSON.stringify(await describeApi(app, VERSION), null, 2)}\n`;
}
