import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { offlineEnv } from './core/env.js';
import { describeApi } from './core/openapi.js';

/** The version of this build, as in package.json. */
export const VERSION = (
  JSON.parse(readFileSync(findPackageJson(import.meta.dirname), 'utf8')) as { version: string }
).version;

/** The text of `openapi.json`. Needs no database: nothing of the application is started. */
export async function openApiText(): Promise<string> {
  const app = await NestFactory.create(AppModule.forRoot(offlineEnv()), new FastifyAdapter(), {
    preview: true,
    logger: false,
    abortOnError: false,
  });
  return `${JSON.stringify(describeApi(app, VERSION), null, 2)}\n`;
}

function findPackageJson(folder: string): string {
  const path = join(folder, 'package.json');
  try {
    readFileSync(path);
    return path;
  } catch {
    return findPackageJson(join(folder, '..'));
  }
}
