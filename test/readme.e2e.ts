import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { makePicture } from './pictures.js';
import { describeWith } from './programs.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;
let folder: string;

describeWith(['bash', 'curl'], 'the tour of the README', () => {
  beforeAll(async () => {
    app = await TestingApp.start();
    folder = await mkdtemp(join(tmpdir(), 'atelier-tour-'));
    await writeFile(join(folder, 'photo.jpg'), await makePicture({ width: 1600, height: 1200 }));
  });

  afterAll(async () => {
    await app.close();
    await rm(folder, { recursive: true });
  });

  it('works as it stands', async () => {
    const readme = await readFile('README.md', 'utf8');
    const tour = /<!-- tour: .*?-->(.*?)<!-- tour ends -->/s.exec(readme)?.[1] ?? '';
    const commands = [...tour.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block ?? '');
    expect(commands.length).toBe(5);
    const script = commands
      .join('\necho\necho ---\n')
      .replaceAll('curl -s', 'curl -s --fail-with-body')
      .replaceAll('http://localhost:3000', app.url);

    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: folder,
    });
    const [registered = '', , uploaded = '', , looked = ''] = stdout.split('---\n');
    expect(JSON.parse(registered)).toMatchObject({ studio: { name: 'My Studio' } });
    expect(JSON.parse(uploaded)).toMatchObject({ status: 'COMPLETED', title: 'My first picture' });
    expect(await sharp(join(folder, 'thumbnail.webp')).metadata()).toMatchObject({ width: 320 });
    expect(looked).toContain('"nextCursor":null');
    expect(looked).toContain('"checksum"');
    const rows = await app.database.query('select 1 from images');
    expect(rows).toEqual([]);
  });
});
