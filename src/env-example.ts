import { writeFile } from 'node:fs/promises';
import { runEntryPoint } from './core/entry-point.js';
import { envExample } from './core/env-example.js';

/** Writes `.env.example` into the folder that it runs in. */
runEntryPoint(async () => {
  await writeFile('.env.example', envExample());
});
