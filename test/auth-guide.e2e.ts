import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { REFRESH_COOKIE } from '../src/auth/sign-in/refresh-cookie.js';
import { describeWith } from './programs.js';
import { TestingApp } from './testing-app.js';
import { takeTour } from './tour.js';

let app: TestingApp;
let folder: string;

describeWith(['bash', 'curl'], 'the guide to signing in', () => {
  beforeAll(async () => {
    app = await TestingApp.start({ worker: false });
    folder = await mkdtemp(join(tmpdir(), 'atelier-guide-'));
  });

  afterAll(async () => {
    await app.close();
    await rm(folder, { recursive: true });
  });

  it('works as it stands', async () => {
    const printed = await takeTour('docs/auth.md', app.url, folder);
    expect(printed).toHaveLength(9);
    const [registered = '', signedIn = '', listed = '', refreshed = '', , , sessions = ''] =
      printed;
    const user = { email: 'ana@example.com', name: 'Ana', language: 'es' };
    for (const each of [registered, signedIn, refreshed]) {
      expect(JSON.parse(each)).toMatchObject({ tokenType: 'Bearer', expiresIn: 900, user });
    }
    expect(JSON.parse(listed)).toMatchObject({ items: [] });
    // Of three sign-ins, one has been signed out.
    expect(JSON.parse(sessions).items).toMatchObject([
      { device: 'Atelier for Android/1.0', isCurrent: true },
      { isCurrent: false },
    ]);
    expect(JSON.parse(printed.at(-1) ?? '')).not.toHaveProperty('refreshToken');
    expect(await readFile(join(folder, 'jar'), 'utf8')).toContain(REFRESH_COOKIE);
    const live = await app.database.query('select 1 from sessions where ended_at is null');
    expect(live).toHaveLength(1);
  });
});
