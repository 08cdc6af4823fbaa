import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makePicture } from './pictures.js';
import { TestingApp } from './testing-app.js';

const run = promisify(execFile);
const GENERATOR = 'node_modules/@hey-api/openapi-ts/bin/run.js';
const COMPILER = 'node_modules/typescript/bin/tsc';

/** As strict as a careful client is, and with nothing of this project's own settings. */
const TSCONFIG = {
  compilerOptions: {
    strict: true,
    module: 'nodenext',
    target: 'ES2024',
    types: ['node'],
    typeRoots: [resolve('node_modules/@types')],
    rootDir: '.',
    outDir: 'out',
  },
};

describe('a client generated from openapi.json', () => {
  let folder: string;
  let product: TestingApp;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atelier-client-'));
    await cp('test/typed-client', folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG));
    product = await TestingApp.start();
  });

  afterAll(async () => {
    await product.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('is typed as the product behaves, and refuses what the product would', async () => {
    await run(process.execPath, [
      GENERATOR,
      '-i',
      'openapi.json',
      '-o',
      join(folder, 'client'),
      '-s',
    ]);
    await compile(folder);

    await writeFile(join(folder, 'a.jpg'), await makePicture());
    await writeFile(join(folder, 'b.png'), await makePicture({ format: 'png' }));
    const { stdout } = await run(process.execPath, [
      join(folder, 'out/program.js'),
      product.url,
      join(folder, 'a.jpg'),
      join(folder, 'b.png'),
    ]);
    expect(JSON.parse(stdout)).toEqual({
      email: expect.stringMatching(/^client-\d+@example\.com$/),
      statuses: ['COMPLETED', 'COMPLETED'],
      listed: ['Picture 1', 'Renamed'],
      title: 'Renamed',
      format: 'jpeg',
      thumbnail: 320,
      fileType: 'image/webp',
      problems: ['404 not-found', '422 validation-failed query.limit', '409 email-taken'],
      deleted: true,
    });
  }, 120_000);
});

/** Fails with what the compiler says, which it writes to its standard output. */
async function compile(folder: string): Promise<void> {
  await run(process.execPath, [COMPILER, '-p', folder]).catch((error: unknown) => {
    throw new Error((error as { stdout: string }).stdout);
  });
}
