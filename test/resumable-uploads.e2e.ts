import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keepOnDisk } from './kept-files.js';
import { describeResumableUploads } from './resumable-uploads-suite.js';
import { TestingApp } from './testing-app.js';

describeResumableUploads('disk', keepOnDisk);

describe('the disk', () => {
  let app: TestingApp;

  beforeAll(async () => {
    app = await TestingApp.start({ worker: false });
  });

  afterAll(() => app.close());

  it('keeps the bytes of a resumable upload from everybody else on the machine', async () => {
    const agent = app.as(await app.register()).set('tus-resumable', '1.0.0');
    const { headers } = await agent
      .post('/api/v1/images/uploads')
      .set('upload-length', '2000')
      .expect(201);
    const path = headers['location'] ?? '';
    await agent
      .patch(path)
      .set({ 'content-type': 'application/offset+octet-stream', 'upload-offset': '0' })
      .send(Buffer.alloc(1_000))
      .expect(204);
    const folder = join(app.variables['DATA_DIR'] ?? '', 'uploads');
    expect((await stat(join(folder, basename(path)))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });
});
