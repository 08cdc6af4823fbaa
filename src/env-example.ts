import { writeFile } from 'node:fs/promises';
import { configurationPage } from './core/env/configuration-page.js';
import { runEntryPoint } from './core/process/entry-point.js';
import { envExample } from './core/env/example.js';

/** Writes `.env.example` and `docs/configuration.md`, below the folder that it runs in. */
runEntryPoint(async () => {
  await writeFile('.env.example', envExample());
  await writeFile('docs/configuration.md', configurationPage());
});
