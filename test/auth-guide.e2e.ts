import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { REFRESH_COOKIE } from '../src/auth/sign-in/refresh-cookie.js';
import { describeWith } from './programs.js';
import { TestingApp } from './testing-app.js';
import { takeTour } from './tour.js';

/** Shows the code of `--totp --base32 <secret>`, as the program of that name. */
const OATHTOOL = `#!/usr/bin/env bash
cd '${process.cwd()}'
exec node --input-type=module --eval '
  import { generateSync } from "otplib";
  console.log(generateSync({ secret: process.argv[3] }));
' -- "$@"
`;

let app: TestingApp;
let folder: string;

describeWith(['bash', 'curl'], 'the guide to signing in', () => {
  beforeAll(async () => {
    app = await TestingApp.start({ worker: false });
    folder = await mkdtemp(join(tmpdir(), 'atelier-guide-'));
    await writeFile(join(folder, 'oathtool'), OATHTOOL, { mode: 0o755 });
  });

  afterAll(async () => {
    await app.close();
    await rm(folder, { recursive: true });
  });

  it('works as it stands', async () => {
    const printed = await takeTour('docs/auth.md', app.url, folder);
    expect(printed).toHaveLength(18);
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
    const [secret = '', recovery = '', entered = '', off] = printed.slice(8, 12);
    expect(JSON.parse(secret).uri).toContain('otpauth://totp/Atelier');
    expect(JSON.parse(recovery).recoveryCodes).toHaveLength(10);
    expect(JSON.parse(entered)).toMatchObject({ tokenType: 'Bearer', user });
    expect(off?.trim()).toBe('');
    const [inBrowser = '', shown = '', changed = '', ...rest] = printed.slice(12);
    expect(JSON.parse(inBrowser)).not.toHaveProperty('refreshToken');
    expect(await readFile(join(folder, 'jar'), 'utf8')).toContain(REFRESH_COOKIE);
    expect(JSON.parse(shown)).toMatchObject({ ...user, studios: [], hasPassword: true });
    expect(JSON.parse(changed)).toMatchObject({ name: 'Ana Ruiz', language: 'es-MX' });
    expect(rest.map((each) => each.trim())).toEqual(['', '', '']);
    const exported = JSON.parse(await readFile(join(folder, 'export.json'), 'utf8'));
    expect(exported).toMatchObject({ account: { email: 'ana@example.com', name: 'Ana Ruiz' } });
    expect(await app.database.query('select 1 from users where erased_at is null')).toEqual([]);
    expect(await app.database.query('select 1 from sessions')).toEqual([]);
  });
});
