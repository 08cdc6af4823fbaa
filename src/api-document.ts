import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { readEnv } from './core/env.js';
import { describeApi } from './core/openapi.js';

const NOT_CONNECTED = {
  DATABASE_URL: 'postgresql://nobody@localhost/nothing',
  APP_SECRET: 'unused, because nothing is signed here',
  JWT_SECRET: 'unused, because nobody signs in here',
};

/** The version of this build, as in package.json. */
export const VERSION = (
  JSON.parse(readFileSync(findPackageJson(import.meta.dirname), 'utf8')) as { version: string }
).version;

/** The text of `openapi.json`. Needs no database: nothing of the application is started. */
export async function openApiText(): Promise<string> {
  const app = await NestFactory.create(
    AppModule.forRoot(readEnv(NOT_CONNECTED)),
    new FastifyAdapter(),
    { preview: true, logger: false, abortOnError: false },
  );
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
