import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { makePicture } from './pictures.js';
import { describeWith } from './programs.js';
import { TestingApp } from './testing-app.js';
import { takeTour } from './tour.js';

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
    const printed = await takeTour('README.md', app.url, folder);
    expect(printed).toHaveLength(5);
    const [registered = '', , uploaded = '', , looked = ''] = printed;
    expect(JSON.parse(registered)).toMatchObject({ studio: { name: 'My Studio' } });
    expect(JSON.parse(uploaded)).toMatchObject({ status: 'COMPLETED', title: 'My first picture' });
    expect(await sharp(join(folder, 'thumbnail.webp')).metadata()).toMatchObject({ width: 320 });
    expect(looked).toContain('"nextCursor":null');
    expect(looked).toContain('"checksum"');
    const rows = await app.database.query('select 1 from images');
    expect(rows).toEqual([]);
  });
});
