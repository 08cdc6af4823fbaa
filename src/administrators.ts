import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AdministratorsModule } from './auth/administration/administrators.module.js';
import { Administrators } from './auth/administration/administrators.service.js';
import { CoreModule } from './core/core.module.js';
import type { Env } from './core/env.js';
import { DatabaseModule } from './database.module.js';

@Module({})
class ToolModule {}

/** Does something with {@link Administrators}, in a process that does nothing else. */
export async function withAdministrators<T>(
  env: Env,
  work: (administrators: Administrators) => Promise<T>,
): Promise<T> {
  const imports = [CoreModule.forRoot(env), DatabaseModule, AdministratorsModule];
  const app = await NestFactory.createApplicationContext(
    { module: ToolModule, imports },
    // Standard output is the operator's, and what goes wrong is thrown.
    { logger: false, abortOnError: false },
  );
  try {
    return await work(app.get(Administrators));
  } finally {
    await app.close();
  }
}
