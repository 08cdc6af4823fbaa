import { writeFile } from 'node:fs/promises';
import { openApiText } from './api-document.js';
import { runEntryPoint } from './core/process/entry-point.js';

/** Writes `openapi.json` into the folder that it runs in. */
runEntryPoint(async () => {
  await writeFile('openapi.json', await openApiText());
});
